/* Default states, persist method, loading, stmfValidateView: row by row. Leaves every setting as it was. */
#include <libstmf.h>
#include "check.h"

static void default_state(uint8_t type)
{
	char text[16], online[] = "OnLine", offline[] = "OFFLINE", bad[] = "on";
	size_t len = sizeof (text);

	CALL(stmfGetStmfProp(type, NULL, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetStmfProp(type, text, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetStmfProp(type, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetStmfProp(type, bad), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetStmfProp(type, text, &len), STMF_STATUS_SUCCESS);
	TEXT(text, "online");
	TRUE(len == sizeof (text));
	len = 6;
	CALL(stmfGetStmfProp(type, text, &len), STMF_ERROR_INVALID_ARG);
	TRUE(len == 7);
	CALL(stmfSetStmfProp(type, offline), STMF_STATUS_SUCCESS);
	CALL(stmfGetStmfProp(type, text, &len), STMF_ERROR_INVALID_ARG);
	TRUE(len == 8);
	CALL(stmfGetStmfProp(type, text, &len), STMF_STATUS_SUCCESS);
	TEXT(text, "offline");
	CALL(stmfLoadStmfProps(), STMF_STATUS_SUCCESS);
	CALL(stmfSetStmfProp(type, online), STMF_STATUS_SUCCESS);
	CALL(stmfLoadStmfProps(), STMF_STATUS_SUCCESS);
}

static void default_states(void)
{
	char text[16], online[] = "online";
	size_t len = sizeof (text);

	CALL(stmfGetStmfProp(0, text, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetStmfProp(20, online), STMF_ERROR_INVALID_ARG);
	default_state(STMF_DEFAULT_LU_STATE);
	default_state(STMF_DEFAULT_TARGET_PORT_STATE);
}

static void persist_method(void)
{
	uint8_t service = 0, method = 0;

	CALL(stmfGetPersistMethod(NULL, B_TRUE), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetPersistMethod(NULL, B_FALSE), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetPersistMethod(0, B_FALSE), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetPersistMethod(3, B_TRUE), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetPersistMethod(&service, B_TRUE), STMF_STATUS_SUCCESS);
	TRUE(service == STMF_PERSIST_SMF || service == STMF_PERSIST_NONE);
	/* Never set by this process: the service's is in force. */
	CALL(stmfGetPersistMethod(&method, B_FALSE), STMF_STATUS_SUCCESS);
	TRUE(method == service);
	if (service == STMF_PERSIST_NONE) {
		/* A service without a store cannot store; the process has none of its own afterwards. */
		CALL(stmfSetPersistMethod(STMF_PERSIST_SMF, B_TRUE), STMF_ERROR_PERSIST_TYPE);
		CALL(stmfGetPersistMethod(&method, B_FALSE), STMF_STATUS_SUCCESS);
		TRUE(method == STMF_PERSIST_NONE);
	} else {
		CALL(stmfSetPersistMethod(STMF_PERSIST_NONE, B_TRUE), STMF_STATUS_SUCCESS);
		CALL(stmfGetPersistMethod(&method, B_TRUE), STMF_STATUS_SUCCESS);
		TRUE(method == STMF_PERSIST_NONE);
		CALL(stmfSetPersistMethod(STMF_PERSIST_SMF, B_TRUE), STMF_STATUS_SUCCESS);
	}
	CALL(stmfSetPersistMethod(STMF_PERSIST_NONE, B_FALSE), STMF_STATUS_SUCCESS);
	CALL(stmfGetPersistMethod(&method, B_FALSE), STMF_STATUS_SUCCESS);
	TRUE(method == STMF_PERSIST_NONE);
	CALL(stmfGetPersistMethod(&method, B_TRUE), STMF_STATUS_SUCCESS);
	TRUE(method == service);
	CALL(stmfSetPersistMethod(STMF_PERSIST_SMF, B_FALSE), STMF_STATUS_SUCCESS);
	CALL(stmfGetPersistMethod(&method, B_FALSE), STMF_STATUS_SUCCESS);
	TRUE(method == STMF_PERSIST_SMF);
}

static uint32_t groups(void)
{
	stmfGroupList *list = NULL;
	uint32_t count;

	CALL(stmfGetHostGroupList(&list), STMF_STATUS_SUCCESS);
	count = list->cnt;
	stmfFreeMemory(list);
	return (count);
}

/* As callers do: the call may return while a target still closes its sessions. */
static void go_offline(void)
{
	const struct timespec pause_10ms = {0, 10 * 1000 * 1000};
	stmfState state;
	int i;

	CALL(stmfOffline(), STMF_STATUS_SUCCESS);
	for (i = 0; i < 600; i++) {
		CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
		if (state.operationalState == STMF_SERVICE_STATE_OFFLINE)
			return;
		nanosleep(&pause_10ms, NULL);
	}
	TRUE(state.operationalState == STMF_SERVICE_STATE_OFFLINE);
}

static void load(void)
{
	stmfGroupName kept = "settings-kept", lost = "settings-lost";
	uint8_t service;
	stmfState state;

	CALL(stmfGetPersistMethod(&service, B_TRUE), STMF_STATUS_SUCCESS);
	TRUE(groups() == 0);
	CALL(stmfCreateHostGroup(&kept), STMF_STATUS_SUCCESS);
	CALL(stmfSetPersistMethod(STMF_PERSIST_NONE, B_FALSE), STMF_STATUS_SUCCESS);
	CALL(stmfCreateHostGroup(&lost), STMF_STATUS_SUCCESS);
	TRUE(groups() == 2);
	CALL(stmfLoadConfig(), STMF_ERROR_SERVICE_ONLINE);
	CALL(stmfSetPersistMethod(STMF_PERSIST_SMF, B_FALSE), STMF_STATUS_SUCCESS);
	CALL(stmfLoadConfig(), STMF_ERROR_SERVICE_ONLINE);
	go_offline();
	CALL(stmfLoadConfig(), STMF_STATUS_SUCCESS);
	CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
	TRUE(state.configState == STMF_CONFIG_STATE_INIT_DONE);
	/* Without a store nothing is loaded, and nothing lost. */
	TRUE(groups() == (service == STMF_PERSIST_SMF ? 1 : 2));
	CALL(stmfOnline(), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteHostGroup(&kept), STMF_STATUS_SUCCESS);
	if (service == STMF_PERSIST_NONE)
		CALL(stmfDeleteHostGroup(&lost), STMF_STATUS_SUCCESS);
	TRUE(groups() == 0);
}

static void validate(void)
{
	stmfGuid lu = {{0x60, 0x01, 0x44, 0xf0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7}};
	stmfViewEntry entry, taken;

	CALL(stmfValidateView(NULL), STMF_ERROR_INVALID_ARG);
	memset(&entry, 0, sizeof (entry));
	entry.veIndexValid = B_TRUE;
	entry.allHosts = entry.allTargets = B_TRUE;
	entry.luNbrValid = B_TRUE;
	entry.luNbr[0] = 0x40;
	CALL(stmfValidateView(&entry), STMF_ERROR_INVALID_ARG);
	TRUE(entry.veIndexValid == B_FALSE);
	entry.luNbr[0] = 0;
	entry.allHosts = B_FALSE;
	strcpy(entry.hostGroup, "nobody");
	CALL(stmfValidateView(&entry), STMF_ERROR_INVALID_HG);
	entry.hostGroup[0] = '*';
	CALL(stmfValidateView(&entry), STMF_ERROR_INVALID_HG);
	entry.allHosts = B_TRUE;
	entry.allTargets = B_FALSE;
	strcpy(entry.targetGroup, "nothing");
	CALL(stmfValidateView(&entry), STMF_ERROR_INVALID_TG);
	entry.allTargets = B_TRUE;
	CALL(stmfValidateView(&entry), STMF_STATUS_SUCCESS);
	taken = entry;
	CALL(stmfAddViewEntry(&lu, &taken), STMF_STATUS_SUCCESS);
	CALL(stmfValidateView(&entry), STMF_ERROR_LUN_IN_USE);
	entry.luNbrValid = B_FALSE;
	entry.luNbr[1] = 0x7f;
	CALL(stmfValidateView(&entry), STMF_STATUS_SUCCESS);
	TRUE(entry.luNbr[0] == 0 && entry.luNbr[1] == 1 && entry.luNbrValid == B_FALSE);
	CALL(stmfRemoveViewEntry(&lu, taken.veIndex), STMF_STATUS_SUCCESS);
}

int main(void)
{
	default_states();
	persist_method();
	load();
	validate();
	return (check_end());
}
