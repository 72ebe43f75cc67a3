/*
 * Every call of the seed (PSARC "COMSTAR ALUA active/standby support") with every status it can have, misuse included.
 * Runs with no daemon and no set-up, and leaves nothing behind.
 */
#include <libstmf.h>
#include <door.h>
#include <fcntl.h>
#include <unistd.h>
#include "backing.h"
#include "check.h"

static struct backing file;
static stmfGuid lu;

/* A GUID that names nothing, and one that will have a view entry but no LU. */
static stmfGuid unknown = {{0x60, 0x01, 0x44, 0xf0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1}};
static stmfGuid viewed = {{0x60, 0x01, 0x44, 0xf0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 2}};

static void alua_state(void)
{
	boolean_t enabled = B_TRUE;
	uint8_t node[3] = {0xee, 0xee, 0xee};

	CALL(stmfGetAluaState(NULL, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetAluaState(&enabled, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetAluaState(NULL, node), STMF_ERROR_INVALID_ARG);
	TRUE(node[0] == 0xee && enabled == B_TRUE);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_FALSE && node[0] == 0xee && node[1] <= 1 && node[2] == 0xee);

	CALL(stmfSetAluaState(B_TRUE, 2), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetAluaState(B_TRUE, 255), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetAluaState((boolean_t)2, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetAluaState((boolean_t)2, 2), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_FALSE);

	CALL(stmfSetAluaState(B_TRUE, 1), STMF_STATUS_SUCCESS);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_TRUE && node[1] == 1);
	/* Enabling again repeats the registration; another node id needs disabling first. */
	CALL(stmfSetAluaState(B_TRUE, 1), STMF_STATUS_SUCCESS);
	CALL(stmfSetAluaState(B_TRUE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_TRUE && node[1] == 1);
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfSetAluaState(B_TRUE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_TRUE && node[1] == 0);
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);

	/* The node is ignored when disabling, and the last one stays. */
	CALL(stmfSetAluaState(B_TRUE, 1), STMF_STATUS_SUCCESS);
	CALL(stmfSetAluaState(B_FALSE, 77), STMF_STATUS_SUCCESS);
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfGetAluaState(&enabled, &node[1]), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_FALSE && node[1] == 1 && node[0] == 0xee && node[2] == 0xee);
}

static void create(void)
{
	luResource hdl = NULL;
	char size[32];

	backing_make(&file, 4 * MIB);
	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file.path), STMF_STATUS_SUCCESS);
	snprintf(size, sizeof (size), "%ldb", 2 * MIB);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_SIZE, size), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, "2"), STMF_ERROR_INVALID_PROP);
	CALL(stmfCreateLu(hdl, &lu), STMF_STATUS_SUCCESS);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void access_state_is(int line, const char *wanted)
{
	luResource hdl = NULL;
	char text[8] = "?";
	size_t len = sizeof (text);

	check_status(line, "stmfGetLuResource", stmfGetLuResource(&lu, &hdl), STMF_STATUS_SUCCESS);
	check_status(line, "stmfGetLuProp", stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len),
	    STMF_STATUS_SUCCESS);
	check_text(line, "access state", text, wanted);
	check_status(line, "stmfFreeLuResource", stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void properties(void)
{
	luResource hdl = NULL, empty = NULL;
	char text[256];
	size_t len = sizeof (text);

	CALL(stmfGetLuResource(NULL, &hdl), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLuResource(&lu, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLuResource(&unknown, &hdl), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetLuResource(&viewed, &hdl), STMF_ERROR_NOT_FOUND);
	TRUE(hdl == NULL);
	CALL(stmfGetLuResource(&lu, &hdl), STMF_STATUS_SUCCESS);

	CALL(stmfGetLuProp(NULL, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, NULL, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLuProp((luResource)&file, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_INVALID_ARG);

	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_STATUS_SUCCESS);
	TEXT(text, STMF_ACCESS_ACTIVE);
	TEXT(text, "0");
	TRUE(len == sizeof (text));
	len = 1;
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_INVALID_ARG);
	TRUE(len == 2 && text[0] == '\0');
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_STATUS_SUCCESS);
	len = 0;
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_INVALID_ARG);
	TRUE(len == 2);

	len = sizeof (text);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_FILENAME, text, &len), STMF_STATUS_SUCCESS);
	TEXT(text, file.path);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_META_FILENAME, text, &len), STMF_ERROR_NO_PROP);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_SERIAL_NUM, text, &len), STMF_ERROR_NO_PROP);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_NEW, text, &len), STMF_ERROR_INVALID_PROP);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_COMPANY_ID, text, &len), STMF_ERROR_INVALID_PROP);
	CALL(stmfGetLuProp(hdl, 99, text, &len), STMF_ERROR_INVALID_PROP);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);

	/* A handle that was freed, and a set of properties that belongs to no LU. */
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfFreeLuResource(hdl), STMF_ERROR_INVALID_ARG);
	CALL(stmfFreeLuResource(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfCreateLuResource(STMF_DISK, &empty), STMF_STATUS_SUCCESS);
	CALL(stmfGetLuProp(empty, STMF_LU_PROP_ACCESS_STATE, text, &len), STMF_ERROR_NO_PROP);
	CALL(stmfFreeLuResource(empty), STMF_STATUS_SUCCESS);
}

static void standby(void)
{
	luResource hdl = NULL;
	stmfGuid same;
	char text[256];
	size_t len = sizeof (text);

	CALL(stmfLuStandby(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfLuStandby(&unknown), STMF_ERROR_NOT_FOUND);
	CALL(stmfLuStandby(&viewed), STMF_ERROR_NOT_FOUND);

	access_state_is(__LINE__, STMF_ACCESS_ACTIVE);
	CALL(stmfLuStandby(&lu), STMF_STATUS_SUCCESS);
	access_state_is(__LINE__, STMF_ACCESS_ACTIVE_TO_STANDBY);
	access_state_is(__LINE__, "3");
	CALL(stmfLuStandby(&lu), STMF_STATUS_SUCCESS);
	access_state_is(__LINE__, "3");

	CALL(stmfGetLuResource(&lu, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_FILENAME, text, &len), STMF_ERROR_NO_PROP_STANDBY);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_NEW, text, &len), STMF_ERROR_NO_PROP_STANDBY);
	CALL(stmfGetLuProp(hdl, 99, text, &len), STMF_ERROR_NO_PROP_STANDBY);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);

	/* Back to Active: an import of its own file. */
	memset(&same, 0, sizeof (same));
	CALL(stmfImportLu(STMF_DISK, file.path, &same), STMF_STATUS_SUCCESS);
	TRUE(memcmp(&same, &lu, sizeof (lu)) == 0);
	access_state_is(__LINE__, STMF_ACCESS_ACTIVE);
	memset(&same, 0, sizeof (same));
	CALL(stmfImportLu(STMF_DISK, file.path, &same), STMF_ERROR_FILE_IN_USE);
	TRUE(memcmp(&same, &lu, sizeof (lu)) == 0);

	/* Disabling removes only what is Standby; this LU is Active. */
	CALL(stmfSetAluaState(B_TRUE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfLuStandby(&lu), STMF_STATUS_SUCCESS);
	access_state_is(__LINE__, "3");
	CALL(stmfImportLu(STMF_DISK, file.path, NULL), STMF_STATUS_SUCCESS);
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);
	access_state_is(__LINE__, STMF_ACCESS_ACTIVE);
}

static void take_message(void *cookie, char *data, size_t size, door_desc_t *desc, unsigned int count)
{
	uint32_t done = 0;

	(void) cookie;
	(void) data;
	(void) size;
	(void) desc;
	(void) count;
	door_return((char *)&done, sizeof (done), NULL, 0);
}

/* A message as the peer sends it: a packed nvlist with its type and number. */
static size_t pack(uint8_t type, char **message)
{
	nvlist_t *list = NULL;
	size_t size = 0;

	*message = NULL;
	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	TRUE(nvlist_add_uint8(list, "icm_msg_type", type) == 0);
	TRUE(nvlist_add_uint64(list, "icm_msgid", 1) == 0);
	TRUE(nvlist_pack(list, message, &size, NV_ENCODE_XDR, 0) == 0);
	nvlist_free(list);
	return (size);
}

static void messages(int hdl)
{
	char *message;
	size_t size = pack(200, &message);

	/* Of a type that nobody knows: no error of the sender. */
	CALL(stmfPostProxyMsg(hdl, message, (uint32_t)size), STMF_STATUS_SUCCESS);
	CALL(stmfPostProxyMsg(hdl, message, (uint32_t)size / 2), STMF_POST_MSG_FAILED);
	memset(message, 0xff, size);
	CALL(stmfPostProxyMsg(hdl, message, (uint32_t)size), STMF_POST_MSG_FAILED);
	free(message);
}

static void proxy_door(void)
{
	char garbage[] = "this is no message";
	int door, plain, hdl = 7, second = 7, again = 7;

	door = door_create(take_message, NULL, 0);
	TRUE(door >= 0);
	plain = open("/dev/null", O_RDWR | O_CLOEXEC);

	CALL(stmfInitProxyDoor(NULL, door), STMF_ERROR_INVALID_ARG);
	CALL(stmfInitProxyDoor(&hdl, -1), STMF_ERROR_INVALID_ARG);
	TRUE(hdl == -1);
	CALL(stmfInitProxyDoor(&hdl, 1000000), STMF_ERROR_INVALID_ARG);
	CALL(stmfInitProxyDoor(&hdl, plain), STMF_ERROR_INVALID_ARG);
	TRUE(hdl == -1);
	CALL(stmfInitProxyDoor(&hdl, door), STMF_STATUS_SUCCESS);
	TRUE(hdl >= 0);
	CALL(stmfInitProxyDoor(&second, door), STMF_ERROR_DOOR_INSTALLED);
	TRUE(second == -1);
	CALL(stmfInitProxyDoor(&second, -1), STMF_ERROR_DOOR_INSTALLED);
	CALL(stmfInitProxyDoor(NULL, door), STMF_ERROR_INVALID_ARG);

	CALL(stmfPostProxyMsg(hdl, NULL, 4), STMF_ERROR_INVALID_ARG);
	CALL(stmfPostProxyMsg(hdl, NULL, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfPostProxyMsg(hdl + 1, garbage, sizeof (garbage)), STMF_ERROR_INVALID_ARG);
	CALL(stmfPostProxyMsg(-1, garbage, sizeof (garbage)), STMF_ERROR_INVALID_ARG);
	CALL(stmfPostProxyMsg(plain, garbage, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfPostProxyMsg(hdl, garbage, 0), STMF_POST_MSG_FAILED);
	CALL(stmfPostProxyMsg(hdl, garbage, sizeof (garbage)), STMF_POST_MSG_FAILED);
	CALL(stmfSetAluaState(B_TRUE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfPostProxyMsg(hdl, garbage, 0), STMF_POST_MSG_FAILED);
	CALL(stmfPostProxyMsg(hdl, garbage, sizeof (garbage)), STMF_POST_MSG_FAILED);
	messages(hdl);
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);

	/* Numbers that are no handles have no effect, whatever they name. */
	stmfDestroyProxyDoor(-1);
	stmfDestroyProxyDoor(1000000);
	stmfDestroyProxyDoor(plain);
	TRUE(fcntl(plain, F_GETFD) != -1);
	stmfDestroyProxyDoor(hdl + 1);
	CALL(stmfInitProxyDoor(&second, door), STMF_ERROR_DOOR_INSTALLED);

	stmfDestroyProxyDoor(hdl);
	CALL(stmfPostProxyMsg(hdl, garbage, sizeof (garbage)), STMF_ERROR_INVALID_ARG);
	stmfDestroyProxyDoor(hdl);
	CALL(stmfInitProxyDoor(&again, door), STMF_STATUS_SUCCESS);
	TRUE(again >= 0);
	CALL(stmfPostProxyMsg(hdl, garbage, sizeof (garbage)), STMF_ERROR_INVALID_ARG);
	/* The service has its own reference. */
	close(door);
	CALL(stmfInitProxyDoor(&second, plain), STMF_ERROR_DOOR_INSTALLED);
	stmfDestroyProxyDoor(again);
	CALL(stmfInitProxyDoor(&second, plain), STMF_ERROR_INVALID_ARG);
	close(plain);
}

int main(void)
{
	stmfViewEntry entry;

	memset(&entry, 0, sizeof (entry));
	entry.allHosts = entry.allTargets = B_TRUE;

	alua_state();
	CALL(stmfAddViewEntry(&viewed, &entry), STMF_STATUS_SUCCESS);
	create();
	properties();
	standby();
	proxy_door();
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfLuStandby(&lu), STMF_ERROR_NOT_FOUND);
	CALL(stmfRemoveViewEntry(&viewed, entry.veIndex), STMF_STATUS_SUCCESS);
	backing_remove(&file);
	return (check_end());
}
