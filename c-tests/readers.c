/*
 * Another user than root. The argument tells what the service is open for: "readers", then what changes nothing succeeds (or fails as
 * for everybody) and the rest is refused; "owners", then everything is refused.
 */
#include <libstmf.h>
#include <grp.h>
#include <unistd.h>
#include "check.h"

#define NOBODY 65534

static int open_to_all;

/* The status of what may be open to all, and of what never is. */
#define READ(call, status) CALL(call, open_to_all ? (status) : STMF_ERROR_PERM)
#define CLOSED(call) CALL(call, STMF_ERROR_PERM)

static stmfGuid lu = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static stmfGroupName group = "readers";

static void reads(void)
{
	stmfLogicalUnitProviderProperties lu_provider;
	stmfLocalPortProviderProperties port_provider;
	stmfGroupProperties *members = NULL;
	stmfViewEntryList *views = NULL;
	stmfProviderList *providers = NULL;
	stmfSessionList *sessions = NULL;
	stmfDevidList *targets = NULL;
	stmfGroupList *groups = NULL;
	stmfGuidList *lus = NULL;
	stmfLogicalUnitProperties props;
	stmfTargetProperties target;
	stmfProviderName sbd = "sbd", iscsit = "iscsit";
	stmfDevid id = {5, "iqn.x"};
	luResource resource = NULL;
	stmfViewEntry ve;
	stmfState state;
	boolean_t enabled;
	uint8_t node, method;
	uint32_t node32;
	char text[64];
	size_t length = sizeof (text);

	READ(stmfGetState(&state), STMF_STATUS_SUCCESS);
	READ(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, text, &length), STMF_STATUS_SUCCESS);
	READ(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &length), STMF_ERROR_NO_PROP);
	CALL(stmfGetPersistMethod(&method, B_TRUE), open_to_all ? STMF_STATUS_SUCCESS : STMF_ERROR_PERSIST_TYPE);
	READ(stmfGetHostGroupList(&groups), STMF_STATUS_SUCCESS);
	stmfFreeMemory(groups);
	groups = NULL;
	READ(stmfGetTargetGroupList(&groups), STMF_STATUS_SUCCESS);
	stmfFreeMemory(groups);
	READ(stmfGetHostGroupMembers(&group, &members), STMF_ERROR_NOT_FOUND);
	READ(stmfGetTargetGroupMembers(&group, &members), STMF_ERROR_NOT_FOUND);
	READ(stmfGetViewEntryList(&lu, &views), STMF_STATUS_SUCCESS);
	stmfFreeMemory(views);
	READ(stmfGetViewEntryListNotFound(&lu, &views), STMF_ERROR_NOT_FOUND);
	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	READ(stmfValidateView(&ve), STMF_STATUS_SUCCESS);
	/* More than once: what everybody may ask is not remembered for those who may lose the right to it. */
	READ(stmfGetLogicalUnitList(&lus), STMF_STATUS_SUCCESS);
	stmfFreeMemory(lus);
	lus = NULL;
	READ(stmfGetLogicalUnitList(&lus), STMF_STATUS_SUCCESS);
	stmfFreeMemory(lus);
	READ(stmfGetLogicalUnitProperties(&lu, &props), STMF_ERROR_NOT_FOUND);
	READ(stmfGetLuResource(&lu, &resource), STMF_ERROR_NOT_FOUND);
	READ(stmfGetTargetList(&targets), STMF_STATUS_SUCCESS);
	stmfFreeMemory(targets);
	READ(stmfGetTargetProperties(&id, &target), STMF_ERROR_NOT_FOUND);
	READ(stmfGetSessionList(&id, &sessions), STMF_ERROR_NOT_FOUND);
	READ(stmfGetProviderDataList(&providers), STMF_STATUS_SUCCESS);
	stmfFreeMemory(providers);
	providers = NULL;
	READ(stmfGetLogicalUnitProviderList(&providers), STMF_STATUS_SUCCESS);
	stmfFreeMemory(providers);
	providers = NULL;
	READ(stmfGetLocalPortProviderList(&providers), STMF_STATUS_SUCCESS);
	stmfFreeMemory(providers);
	READ(stmfGetLogicalUnitProviderProperties(&sbd, &lu_provider), STMF_STATUS_SUCCESS);
	READ(stmfGetLocalPortProviderProperties(&iscsit, &port_provider), STMF_STATUS_SUCCESS);
	READ(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
	READ(stmfGetAluaState32(&enabled, &node32), STMF_STATUS_SUCCESS);
}

static void changes(void)
{
	char file[] = "/nonexistent", name[] = "readers", online[] = "online", *path = file;
	stmfDevid id = {5, "iqn.x"};
	luResource resource = NULL;
	nvlist_t *list = NULL, *data = NULL;
	stmfViewEntry ve;
	uint64_t token = 0;
	stmfGuid out;
	int status, door = 7;

	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	CLOSED(stmfOnline());
	CLOSED(stmfOffline());
	CLOSED(stmfLoadConfig());
	CLOSED(stmfLoadStmfProps());
	CLOSED(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, online));
	CLOSED(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, "x"));
	CALL(stmfSetPersistMethod(STMF_PERSIST_NONE, B_TRUE), STMF_ERROR_PERSIST_TYPE);
	CLOSED(stmfCreateHostGroup(&group));
	CLOSED(stmfCreateTargetGroup(&group));
	CLOSED(stmfDeleteHostGroup(&group));
	CLOSED(stmfDeleteTargetGroup(&group));
	CLOSED(stmfAddToHostGroup(&group, &id));
	CLOSED(stmfAddToTargetGroup(&group, &id));
	CLOSED(stmfRemoveFromHostGroup(&group, &id));
	CLOSED(stmfRemoveFromTargetGroup(&group, &id));
	CLOSED(stmfAddViewEntry(&lu, &ve));
	CLOSED(stmfRemoveViewEntry(&lu, 0));
	CLOSED(stmfOnlineLogicalUnit(&lu));
	CLOSED(stmfOfflineLogicalUnit(&lu));
	CLOSED(stmfOnlineTarget(&id));
	CLOSED(stmfOfflineTarget(&id));
	CALL(stmfCreateLuResource(STMF_DISK, &resource), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(resource, STMF_LU_PROP_FILENAME, file), STMF_STATUS_SUCCESS);
	CLOSED(stmfCreateLu(resource, &out));
	CALL(stmfFreeLuResource(resource), STMF_STATUS_SUCCESS);
	CLOSED(stmfImportLu(STMF_DISK, file, &out));
	CLOSED(stmfDeleteLu(&lu));
	CLOSED(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"));
	CLOSED(stmfModifyLuByFname(STMF_DISK, file, STMF_LU_PROP_ALIAS, "x"));
	CLOSED(stmfLuStandby(&lu));
	CLOSED(stmfSetAluaState(B_TRUE, 1));
	CLOSED(stmfSetAluaState32(B_TRUE, 1));
	CLOSED(stmfInitProxyDoor(&door, 0));
	CLOSED(stmfxImportLus(1, &path, &out, &status));
	CLOSED(stmfxStandbyLus(1, &lu, &status));
	CLOSED(stmfxLuStandDown(&lu, 10));
	/* These change nothing, but hold a thread of the service, or may tell what is secret. */
	CLOSED(stmfxWaitService(STMF_SERVICE_STATE_ONLINE, 0));
	CLOSED(stmfGetProviderData(name, &data, STMF_LU_PROVIDER_TYPE));
	CLOSED(stmfGetProviderDataProt(name, &data, STMF_LU_PROVIDER_TYPE, &token));
	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	CLOSED(stmfSetProviderData(name, list, STMF_LU_PROVIDER_TYPE));
	CLOSED(stmfSetProviderDataProt(name, list, STMF_LU_PROVIDER_TYPE, &token));
	CLOSED(stmfClearProviderData(name, STMF_LU_PROVIDER_TYPE));
	nvlist_free(list);
}

int main(int argc, char **argv)
{
	if (argc != 2 || setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return (EXIT_FAILURE);
	open_to_all = strcmp(argv[1], "readers") == 0;
	reads();
	changes();
	return (check_end());
}
