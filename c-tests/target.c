/*
 * Service state, target ports and sessions, devids. With an argument: the name of an online iSCSI target without sessions,
 * which must be listed and is taken offline and online again.
 */
#include <libstmf.h>
#include <time.h>
#include "check.h"

static void devids(void)
{
	char name[300];
	uchar_t wwn[8] = {0x21, 0x00, 0x00, 0xe0, 0x8b, 0xab, 0xcd, 0xef};
	static const struct {
		const char *name;
		int status;
	} rows[] = {
		{"iqn.x", STMF_STATUS_SUCCESS},
		{"iqn.1986-03.com.sun:02:a", STMF_STATUS_SUCCESS},
		{"eui.0123456789abCDEF", STMF_STATUS_SUCCESS},
		{"naa.0123456789abCDEF", STMF_STATUS_SUCCESS},
		{"naa.0123456789abCDEF0123456789abCDEF", STMF_STATUS_SUCCESS},
		{"", STMF_ERROR_INVALID_ARG},
		{"iqn.", STMF_ERROR_INVALID_ARG},
		{"IQN.x", STMF_ERROR_INVALID_ARG},
		{"eui.0123", STMF_ERROR_INVALID_ARG},
		{"eui.0123456789abCDEG", STMF_ERROR_INVALID_ARG},
		{"naa.0123456789abCDEF01", STMF_ERROR_INVALID_ARG},
		{"wwn.0123456789abCDEF", STMF_ERROR_INVALID_ARG},
	};
	static const int lengths[] = {223, 224, 255, 256, 259, 280};
	stmfDevid id;
	size_t i;

	strcpy(name, "iqn.x");
	CALL(stmfDevidFromIscsiName(NULL, &id), STMF_ERROR_INVALID_ARG);
	CALL(stmfDevidFromIscsiName(name, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfDevidFromWwn(NULL, &id), STMF_ERROR_INVALID_ARG);
	CALL(stmfDevidFromWwn(wwn, NULL), STMF_ERROR_INVALID_ARG);
	for (i = 0; i < sizeof (rows) / sizeof (rows[0]); i++) {
		strcpy(name, rows[i].name);
		memset(&id, 0xa5, sizeof (id));
		check_status(__LINE__, name, stmfDevidFromIscsiName(name, &id), rows[i].status);
		if (rows[i].status == STMF_STATUS_SUCCESS) {
			check_true(__LINE__, name, id.identLength == strlen(name) && id.ident[254] == 0);
			check_text(__LINE__, name, (const char *)id.ident, name);
		}
	}
	for (i = 0; i < sizeof (lengths) / sizeof (lengths[0]); i++) {
		memset(name, 'x', sizeof (name));
		memcpy(name, "iqn.", 4);
		name[lengths[i]] = '\0';
		check_status(__LINE__, name, stmfDevidFromIscsiName(name, &id),
		    lengths[i] <= 223 ? STMF_STATUS_SUCCESS : STMF_ERROR_INVALID_ARG);
	}
	memset(&id, 0xa5, sizeof (id));
	CALL(stmfDevidFromWwn(wwn, &id), STMF_STATUS_SUCCESS);
	TRUE(id.identLength == 20 && id.ident[254] == 0);
	TEXT((const char *)id.ident, "wwn.210000E08BABCDEF");
}

static void service(void)
{
	stmfState state;

	CALL(stmfGetState(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
	TRUE(state.operationalState == STMF_SERVICE_STATE_ONLINE);
	TRUE(state.configState == STMF_CONFIG_STATE_INIT_DONE);
	CALL(stmfOnline(), STMF_ERROR_SERVICE_ONLINE);
}

static void wait_for(stmfDevid *id, int status)
{
	const struct timespec pause = {0, 10 * 1000 * 1000};
	stmfTargetProperties props;
	int i;

	for (i = 0; i < 600; i++) {
		if (!CALL(stmfGetTargetProperties(id, &props), STMF_STATUS_SUCCESS) || props.status == status)
			break;
		nanosleep(&pause, NULL);
	}
	TRUE(props.status == status);
}

static void listed_target(char *name)
{
	stmfDevidList *list = NULL;
	stmfSessionList *sessions = NULL;
	stmfTargetProperties props;
	stmfDevid id;
	uint32_t i, found = 0;

	CALL(stmfDevidFromIscsiName(name, &id), STMF_STATUS_SUCCESS);
	CALL(stmfGetTargetList(&list), STMF_STATUS_SUCCESS);
	for (i = 0; i < list->cnt; i++)
		found += memcmp(&list->devid[i], &id, sizeof (id)) == 0;
	TRUE(found == 1);
	stmfFreeMemory(list);
	wait_for(&id, STMF_TARGET_PORT_ONLINE);
	memset(&props, 0xa5, sizeof (props));
	CALL(stmfGetTargetProperties(&id, &props), STMF_STATUS_SUCCESS);
	TRUE(props.protocol == STMF_PROTOCOL_ISCSI);
	TRUE(memcmp(&props.devid, &id, sizeof (id)) == 0);
	TEXT(props.providerName, "iscsit");
	CALL(stmfGetSessionList(&id, &sessions), STMF_STATUS_SUCCESS);
	TRUE(sessions->cnt == 0);
	free(sessions);

	CALL(stmfOfflineTarget(&id), STMF_STATUS_SUCCESS);
	wait_for(&id, STMF_TARGET_PORT_OFFLINE);
	CALL(stmfOfflineTarget(&id), STMF_STATUS_SUCCESS);
	CALL(stmfOnlineTarget(&id), STMF_STATUS_SUCCESS);
	wait_for(&id, STMF_TARGET_PORT_ONLINE);
	CALL(stmfOnlineTarget(&id), STMF_STATUS_SUCCESS);
}

/* Members of a target group change only while the target is offline. */
static void grouped_target(char *name)
{
	stmfGroupName group = "c-target-group";
	stmfDevid id;

	CALL(stmfDevidFromIscsiName(name, &id), STMF_STATUS_SUCCESS);
	CALL(stmfCreateTargetGroup(&group), STMF_STATUS_SUCCESS);
	CALL(stmfAddToTargetGroup(&group, &id), STMF_ERROR_TG_ONLINE);
	CALL(stmfOfflineTarget(&id), STMF_STATUS_SUCCESS);
	wait_for(&id, STMF_TARGET_PORT_OFFLINE);
	CALL(stmfAddToTargetGroup(&group, &id), STMF_STATUS_SUCCESS);
	CALL(stmfOnlineTarget(&id), STMF_STATUS_SUCCESS);
	wait_for(&id, STMF_TARGET_PORT_ONLINE);
	/* The test of membership comes first. */
	CALL(stmfAddToTargetGroup(&group, &id), STMF_ERROR_EXISTS);
	CALL(stmfRemoveFromTargetGroup(&group, &id), STMF_ERROR_TG_ONLINE);
	CALL(stmfOfflineTarget(&id), STMF_STATUS_SUCCESS);
	wait_for(&id, STMF_TARGET_PORT_OFFLINE);
	CALL(stmfRemoveFromTargetGroup(&group, &id), STMF_STATUS_SUCCESS);
	CALL(stmfOnlineTarget(&id), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitTarget(&id, STMF_TARGET_PORT_ONLINE, 60000), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteTargetGroup(&group), STMF_STATUS_SUCCESS);
}

static void unknown_target(void)
{
	char name[] = "iqn.2026-01.test:nobody";
	stmfDevidList *list = NULL;
	stmfSessionList *sessions = NULL;
	stmfTargetProperties props;
	stmfDevid id;

	CALL(stmfDevidFromIscsiName(name, &id), STMF_STATUS_SUCCESS);
	CALL(stmfGetTargetList(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetTargetList(&list), STMF_STATUS_SUCCESS);
	TRUE(list != NULL);
	stmfFreeMemory(list);
	CALL(stmfGetTargetProperties(NULL, &props), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetTargetProperties(&id, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetTargetProperties(&id, &props), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetSessionList(NULL, &sessions), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetSessionList(&id, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetSessionList(&id, &sessions), STMF_ERROR_NOT_FOUND);
	TRUE(sessions == NULL);
	CALL(stmfOnlineTarget(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfOfflineTarget(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfOnlineTarget(&id), STMF_ERROR_NOT_FOUND);
	CALL(stmfOfflineTarget(&id), STMF_ERROR_NOT_FOUND);
}

static void off_and_on(void)
{
	stmfState state;

	CALL(stmfOffline(), STMF_STATUS_SUCCESS);
	CALL(stmfOffline(), STMF_ERROR_SERVICE_OFFLINE);
	CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
	TRUE(state.operationalState == STMF_SERVICE_STATE_OFFLINE);
	TRUE(state.configState == STMF_CONFIG_STATE_INIT_DONE);
	CALL(stmfOnline(), STMF_STATUS_SUCCESS);
	service();
}

int main(int argc, char **argv)
{
	DO(stmfFreeMemory(NULL));
	devids();
	service();
	unknown_target();
	if (argc > 1) {
		listed_target(argv[1]);
		grouped_target(argv[1]);
	} else
		off_and_on();
	return (check_end());
}
