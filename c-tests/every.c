/*
 * Every function that asks the service, while something is wrong with all of them: each must return the status of the first
 * argument, a hexadecimal number, and write to none of its results. The second argument says what this process does first:
 * "nobody" gives its privileges up, "post" does so after it has installed a proxy door, "descriptors" leaves no descriptor for the library, "nothing" nothing.
 */
#include <libstmf.h>
#include <door.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>
#include "check.h"

#define NOBODY 65534

static int wanted;
static int short_of_descriptors;

/* Room for no descriptor besides the three standard ones, during a call. */
static void descriptors(int few)
{
	struct rlimit limit;

	if (!short_of_descriptors)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = few ? 3 : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int got;
#define GIVES(call, status) (descriptors(1), got = (call), descriptors(0), check_status(__LINE__, #call, got, status))
#define FAILS(call) GIVES(call, wanted)

static stmfGuid lu = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

/* What the results hold before and, as every call fails, afterwards. */
static stmfState state;
static stmfGuidList *guids;
static stmfGroupList *groups;
static stmfGroupProperties *members;
static stmfViewEntryList *views;
static stmfDevidList *targets;
static stmfSessionList *sessions;
static stmfProviderList *providers;
static nvlist_t *data;
static luResource resource;
static stmfTargetProperties target;

static void service(void)
{
	char text[16] = "as it was", online[] = "online";
	size_t length = sizeof (text);
	uint8_t method = 0xee;

	FAILS(stmfGetState(&state));
	FAILS(stmfOnline());
	FAILS(stmfOffline());
	FAILS(stmfLoadConfig());
	FAILS(stmfLoadStmfProps());
	FAILS(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, online));
	FAILS(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, text, &length));
	FAILS(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, ""));
	FAILS(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &length));
	TEXT(text, "as it was");
	TRUE(length == sizeof (text) && state.operationalState == 0 && state.configState == 0);
	GIVES(stmfSetPersistMethod(STMF_PERSIST_NONE, B_TRUE), STMF_ERROR_PERSIST_TYPE);
	GIVES(stmfGetPersistMethod(&method, B_TRUE), STMF_ERROR_PERSIST_TYPE);
	TRUE(method == 0xee);
	/* The process's own was never set, as the call above has failed; one that cannot be asked for stores. */
	GIVES(stmfGetPersistMethod(&method, B_FALSE), STMF_STATUS_SUCCESS);
	TRUE(method == STMF_PERSIST_SMF);
}

static void configuration(void)
{
	stmfGroupName name = "every";
	stmfDevid id = {5, "iqn.x"};
	stmfViewEntry ve, before;

	FAILS(stmfCreateHostGroup(&name));
	FAILS(stmfCreateTargetGroup(&name));
	FAILS(stmfDeleteHostGroup(&name));
	FAILS(stmfDeleteTargetGroup(&name));
	FAILS(stmfGetHostGroupList(&groups));
	FAILS(stmfGetTargetGroupList(&groups));
	FAILS(stmfGetHostGroupMembers(&name, &members));
	FAILS(stmfGetTargetGroupMembers(&name, &members));
	FAILS(stmfAddToHostGroup(&name, &id));
	FAILS(stmfAddToTargetGroup(&name, &id));
	FAILS(stmfRemoveFromHostGroup(&name, &id));
	FAILS(stmfRemoveFromTargetGroup(&name, &id));
	TRUE(groups == NULL && members == NULL);

	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	before = ve;
	FAILS(stmfAddViewEntry(&lu, &ve));
	FAILS(stmfValidateView(&ve));
	FAILS(stmfRemoveViewEntry(&lu, 0));
	FAILS(stmfGetViewEntryList(&lu, &views));
	FAILS(stmfGetViewEntryListNotFound(&lu, &views));
	TRUE(memcmp(&ve, &before, sizeof (ve)) == 0 && views == NULL);
	/* The name of a group is looked at after the service was reached. */
	ve.allHosts = B_FALSE;
	FAILS(stmfValidateView(&ve));
}

static void objects(void)
{
	char file[] = "/nonexistent", *path = file;
	int status = 0xeeee;
	stmfLogicalUnitProperties props;
	stmfDevid id = {5, "iqn.x"};
	stmfGuid none = {{0}}, out = none;
	luResource created = NULL;

	FAILS(stmfGetLogicalUnitList(&guids));
	FAILS(stmfGetLogicalUnitProperties(&lu, &props));
	FAILS(stmfOnlineLogicalUnit(&lu));
	FAILS(stmfOfflineLogicalUnit(&lu));
	FAILS(stmfGetLuResource(&lu, &resource));
	FAILS(stmfImportLu(STMF_DISK, file, &out));
	FAILS(stmfDeleteLu(&lu));
	FAILS(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"));
	FAILS(stmfModifyLuByFname(STMF_DISK, file, STMF_LU_PROP_ALIAS, "x"));
	FAILS(stmfLuStandby(&lu));
	FAILS(stmfxImportLus(1, &path, &out, &status));
	FAILS(stmfxStandbyLus(1, &lu, &status));
	FAILS(stmfxLuStandDown(&lu, 10));
	FAILS(stmfxWaitLogicalUnit(&lu, STMF_LOGICAL_UNIT_ONLINE, 0));
	FAILS(stmfxWaitLuAccess(&lu, STMF_ACCESS_ACTIVE, 0));
	FAILS(stmfxWaitTarget(&id, STMF_TARGET_PORT_ONLINE, 0));
	FAILS(stmfxWaitService(STMF_SERVICE_STATE_ONLINE, 0));
	TRUE(status == 0xeeee);
	CALL(stmfCreateLuResource(STMF_DISK, &created), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(created, STMF_LU_PROP_FILENAME, file), STMF_STATUS_SUCCESS);
	FAILS(stmfCreateLu(created, &out));
	CALL(stmfFreeLuResource(created), STMF_STATUS_SUCCESS);
	TRUE(memcmp(&out, &none, sizeof (out)) == 0 && guids == NULL && resource == NULL);

	FAILS(stmfGetTargetList(&targets));
	FAILS(stmfGetTargetProperties(&id, &target));
	FAILS(stmfGetSessionList(&id, &sessions));
	FAILS(stmfOnlineTarget(&id));
	FAILS(stmfOfflineTarget(&id));
	TRUE(targets == NULL && sessions == NULL && target.providerName[0] == '\0');
}

static void provider(void)
{
	char name[] = "every";
	stmfProviderName short_name = "sbd";
	stmfLogicalUnitProviderProperties lu_provider;
	stmfLocalPortProviderProperties port_provider;
	nvlist_t *list = NULL;
	uint64_t token = 0;

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	FAILS(stmfGetProviderData(name, &data, STMF_LU_PROVIDER_TYPE));
	FAILS(stmfGetProviderDataProt(name, &data, STMF_LU_PROVIDER_TYPE, &token));
	FAILS(stmfSetProviderData(name, list, STMF_LU_PROVIDER_TYPE));
	FAILS(stmfSetProviderDataProt(name, list, STMF_LU_PROVIDER_TYPE, &token));
	FAILS(stmfClearProviderData(name, STMF_LU_PROVIDER_TYPE));
	FAILS(stmfGetProviderDataList(&providers));
	FAILS(stmfGetLogicalUnitProviderList(&providers));
	FAILS(stmfGetLocalPortProviderList(&providers));
	FAILS(stmfGetLogicalUnitProviderProperties(&short_name, &lu_provider));
	FAILS(stmfGetLocalPortProviderProperties(&short_name, &port_provider));
	TRUE(data == NULL && token == 0 && providers == NULL);
	nvlist_free(list);
}

static void alua(void)
{
	boolean_t enabled = (boolean_t)7;
	uint8_t node = 0xee;
	uint32_t node32 = 0xeeeeeeee;
	int door = 7;

	FAILS(stmfSetAluaState(B_TRUE, 1));
	FAILS(stmfSetAluaState32(B_TRUE, 1));
	FAILS(stmfGetAluaState(&enabled, &node));
	FAILS(stmfGetAluaState32(&enabled, &node32));
	TRUE(enabled == (boolean_t)7 && node == 0xee && node32 == 0xeeeeeeee);
	FAILS(stmfInitProxyDoor(&door, 0));
	TRUE(door == -1);
	DO(stmfDestroyProxyDoor(door));
}

static int become_nobody(void)
{
	return (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void take_message(void *cookie, char *bytes, size_t size, door_desc_t *desc, unsigned int count)
{
	(void) cookie;
	(void) bytes;
	(void) size;
	(void) desc;
	(void) count;
	door_return(NULL, 0, NULL, 0);
}

/* Installs a door and gives its privileges up: the handle is still its own, the right to use it is not. */
static void post(void)
{
	int door = door_create(take_message, NULL, 0), hdl = -1;
	char message[] = "x";

	CALL(stmfInitProxyDoor(&hdl, door), STMF_STATUS_SUCCESS);
	TRUE(become_nobody());
	FAILS(stmfPostProxyMsg(hdl, message, sizeof (message)));
	FAILS(stmfGetState(&state));
}

int main(int argc, char **argv)
{
	int i;

	if (argc != 3)
		return (EXIT_FAILURE);
	wanted = (int)strtol(argv[1], NULL, 16);
	short_of_descriptors = strcmp(argv[2], "descriptors") == 0;
	if (strcmp(argv[2], "post") == 0) {
		post();
		return (check_end());
	}
	/* Who is not root cannot become somebody else; the test then closes the door itself. */
	if (strcmp(argv[2], "nobody") == 0 && geteuid() == 0 && !become_nobody())
		return (EXIT_FAILURE);
	/* More than once: a call that failed leaves nothing behind. */
	for (i = 0; i < 2; i++) {
		service();
		configuration();
		objects();
		provider();
		alua();
	}
	return (check_end());
}
