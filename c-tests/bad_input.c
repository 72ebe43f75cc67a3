/*
 * What no careful program passes: NULL, strings without an end, names of every length and byte, LUNs and buffers around their
 * limits, handles that were freed or made up, lists nested 100 deep. Each has its status, and nothing is read or written that is
 * not there.
 */
#include <libstmf.h>
#include <limits.h>
#include "backing.h"
#include "check.h"
#include "guard.h"

#define BAD(call) CALL(call, STMF_ERROR_INVALID_ARG)
#define GOOD(call) CALL(call, STMF_STATUS_SUCCESS)

static stmfGuid lu = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0xba, 0xd0, 0, 0, 0, 0, 0, 0, 0, 1}};
static stmfGuid zeros;
static char provider[] = "bad-input";

static void null_everywhere(void)
{
	char text[64] = "x", name[] = "iqn.x";
	stmfGroupName group = "bad-input";
	stmfProviderName sbd = "sbd";
	stmfDevid id = {5, "iqn.x"};
	stmfGroupProperties *members = NULL;
	stmfViewEntryList *views = NULL;
	stmfSessionList *sessions = NULL;
	stmfLogicalUnitProperties lu_props;
	stmfTargetProperties target_props;
	stmfLogicalUnitProviderProperties lu_provider;
	stmfLocalPortProviderProperties port_provider;
	stmfViewEntry ve;
	luResource hdl = NULL;
	nvlist_t *list = NULL;
	boolean_t enabled;
	uint8_t node;
	uint32_t node32;
	uint64_t token = 0;
	size_t length = sizeof (text);
	uchar_t wwn[8] = {0};

	memset(&ve, 0, sizeof (ve));
	BAD(stmfDevidFromIscsiName(NULL, NULL));
	BAD(stmfDevidFromIscsiName(name, NULL));
	BAD(stmfDevidFromIscsiName(NULL, &id));
	BAD(stmfDevidFromWwn(NULL, NULL));
	BAD(stmfDevidFromWwn(wwn, NULL));
	BAD(stmfDevidFromWwn(NULL, &id));
	BAD(stmfGetState(NULL));
	BAD(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, NULL));
	BAD(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, NULL, &length));
	BAD(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, text, NULL));
	BAD(stmfGetPersistMethod(NULL, B_TRUE));
	BAD(stmfGetPersistMethod(NULL, B_FALSE));
	BAD(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, NULL));
	BAD(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, NULL, &length));
	BAD(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, NULL));

	BAD(stmfCreateHostGroup(NULL));
	BAD(stmfCreateTargetGroup(NULL));
	BAD(stmfDeleteHostGroup(NULL));
	BAD(stmfDeleteTargetGroup(NULL));
	BAD(stmfGetHostGroupList(NULL));
	BAD(stmfGetTargetGroupList(NULL));
	BAD(stmfGetHostGroupMembers(NULL, &members));
	BAD(stmfGetHostGroupMembers(&group, NULL));
	BAD(stmfGetTargetGroupMembers(NULL, &members));
	BAD(stmfGetTargetGroupMembers(&group, NULL));
	BAD(stmfAddToHostGroup(NULL, &id));
	BAD(stmfAddToHostGroup(&group, NULL));
	BAD(stmfAddToTargetGroup(NULL, &id));
	BAD(stmfAddToTargetGroup(&group, NULL));
	BAD(stmfRemoveFromHostGroup(NULL, &id));
	BAD(stmfRemoveFromHostGroup(&group, NULL));
	BAD(stmfRemoveFromTargetGroup(NULL, &id));
	BAD(stmfRemoveFromTargetGroup(&group, NULL));
	BAD(stmfAddViewEntry(NULL, &ve));
	BAD(stmfAddViewEntry(&lu, NULL));
	BAD(stmfRemoveViewEntry(NULL, 0));
	BAD(stmfGetViewEntryList(NULL, &views));
	BAD(stmfGetViewEntryList(&lu, NULL));
	BAD(stmfGetViewEntryListNotFound(NULL, &views));
	BAD(stmfGetViewEntryListNotFound(&lu, NULL));
	BAD(stmfValidateView(NULL));

	BAD(stmfGetLogicalUnitList(NULL));
	BAD(stmfGetLogicalUnitProperties(NULL, &lu_props));
	BAD(stmfGetLogicalUnitProperties(&lu, NULL));
	BAD(stmfOnlineLogicalUnit(NULL));
	BAD(stmfOfflineLogicalUnit(NULL));
	BAD(stmfGetTargetList(NULL));
	BAD(stmfGetTargetProperties(NULL, &target_props));
	BAD(stmfGetTargetProperties(&id, NULL));
	BAD(stmfGetSessionList(NULL, &sessions));
	BAD(stmfGetSessionList(&id, NULL));
	BAD(stmfOnlineTarget(NULL));
	BAD(stmfOfflineTarget(NULL));
	BAD(stmfCreateLuResource(STMF_DISK, NULL));
	BAD(stmfGetLuResource(NULL, &hdl));
	BAD(stmfGetLuResource(&lu, NULL));
	BAD(stmfFreeLuResource(NULL));
	BAD(stmfCreateLu(NULL, &lu));
	BAD(stmfImportLu(STMF_DISK, NULL, &lu));
	BAD(stmfDeleteLu(NULL));
	BAD(stmfModifyLu(NULL, STMF_LU_PROP_ALIAS, "x"));
	BAD(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, NULL));
	BAD(stmfModifyLuByFname(STMF_DISK, NULL, STMF_LU_PROP_ALIAS, "x"));
	BAD(stmfModifyLuByFname(STMF_DISK, "/nonexistent", STMF_LU_PROP_ALIAS, NULL));
	BAD(stmfLuStandby(NULL));

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	BAD(stmfGetLogicalUnitProviderList(NULL));
	BAD(stmfGetLocalPortProviderList(NULL));
	BAD(stmfGetLogicalUnitProviderProperties(NULL, &lu_provider));
	BAD(stmfGetLogicalUnitProviderProperties(&sbd, NULL));
	BAD(stmfGetLocalPortProviderProperties(NULL, &port_provider));
	BAD(stmfGetLocalPortProviderProperties(&sbd, NULL));
	BAD(stmfSetProviderData(NULL, list, 1));
	BAD(stmfSetProviderData(provider, NULL, 1));
	BAD(stmfSetProviderDataProt(NULL, list, 1, &token));
	BAD(stmfSetProviderDataProt(provider, NULL, 1, &token));
	BAD(stmfGetProviderDataList(NULL));
	BAD(stmfClearProviderData(NULL, 1));
	/* Without a token nothing is compared. */
	GOOD(stmfSetProviderDataProt(provider, list, 1, NULL));
	nvlist_free(list);
	list = NULL;
	BAD(stmfGetProviderData(NULL, &list, 1));
	BAD(stmfGetProviderData(provider, NULL, 1));
	BAD(stmfGetProviderDataProt(NULL, &list, 1, &token));
	BAD(stmfGetProviderDataProt(provider, NULL, 1, &token));
	TRUE(list == NULL && token == 0);
	GOOD(stmfGetProviderDataProt(provider, &list, 1, NULL));
	nvlist_free(list);
	GOOD(stmfClearProviderData(provider, 1));

	BAD(stmfGetAluaState(NULL, &node));
	BAD(stmfGetAluaState(&enabled, NULL));
	BAD(stmfGetAluaState32(NULL, &node32));
	BAD(stmfGetAluaState32(&enabled, NULL));
	BAD(stmfInitProxyDoor(NULL, 0));
	BAD(stmfPostProxyMsg(0, NULL, 1));
	TRUE(members == NULL && views == NULL && sessions == NULL && hdl == NULL);
	DO(stmfFreeMemory(NULL));
}

/* A name that ends with the memory, and one that does not end. */
static void without_end(void)
{
	stmfGroupName *endless = guard_fill('x', 256), *shortest = guard_copy("g", 2);
	stmfProviderName *sbd = guard_copy("sbd", 4);
	stmfDevid *id = guard_copy("\005iqn.x", 6), *whole = guard_fill('\377', 256);
	char *iscsi = guard_fill('i', 224), *word = guard_fill('o', 8), *name = guard_fill('p', 255);
	char *url = guard_fill('u', 1024), *path = guard_fill('/', MAXPATHLEN), *number = guard_fill('1', MAXPATHLEN);
	char *slash = guard_copy("/", 2);
	stmfGroupProperties *members = NULL;
	stmfLogicalUnitProviderProperties props;
	stmfTargetProperties target;
	stmfViewEntry ve;
	luResource hdl = NULL;
	nvlist_t *list = NULL;
	stmfDevid out;

	memcpy(iscsi, "iqn.", 4);
	GOOD(stmfCreateHostGroup(shortest));
	GOOD(stmfAddToHostGroup(shortest, id));
	GOOD(stmfGetHostGroupMembers(shortest, &members));
	TRUE(members->cnt == 1 && members->name[0].identLength == 5);
	DO(stmfFreeMemory(members));
	GOOD(stmfRemoveFromHostGroup(shortest, id));
	GOOD(stmfDeleteHostGroup(shortest));
	BAD(stmfCreateHostGroup(endless));
	BAD(stmfCreateTargetGroup(endless));
	BAD(stmfDeleteHostGroup(endless));
	BAD(stmfDeleteTargetGroup(endless));
	BAD(stmfGetHostGroupMembers(endless, &members));
	BAD(stmfGetTargetGroupMembers(endless, &members));
	BAD(stmfAddToHostGroup(endless, id));
	BAD(stmfAddToTargetGroup(endless, id));
	BAD(stmfRemoveFromHostGroup(endless, id));
	BAD(stmfRemoveFromTargetGroup(endless, id));
	CALL(stmfGetTargetProperties(id, &target), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetTargetProperties(whole, &target), STMF_ERROR_NOT_FOUND);
	memset(&ve, 0xff, sizeof (ve));
	ve.allHosts = ve.luNbrValid = B_FALSE;
	CALL(stmfAddViewEntry(&lu, &ve), STMF_ERROR_INVALID_HG);
	CALL(stmfValidateView(&ve), STMF_ERROR_INVALID_HG);
	ve.allHosts = B_TRUE;
	ve.allTargets = B_FALSE;
	CALL(stmfAddViewEntry(&lu, &ve), STMF_ERROR_INVALID_TG);
	CALL(stmfValidateView(&ve), STMF_ERROR_INVALID_TG);

	BAD(stmfDevidFromIscsiName(iscsi, &out));
	BAD(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, word));
	GOOD(stmfGetLogicalUnitProviderProperties(sbd, &props));
	BAD(stmfGetLogicalUnitProviderProperties((stmfProviderName *)(void *)endless, &props));
	BAD(stmfGetProviderData(name, &list, 1));
	BAD(stmfClearProviderData(name, 1));
	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	BAD(stmfSetProviderData(name, list, 1));
	nvlist_free(list);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, url), STMF_ERROR_INVALID_PROPSIZE);
	CALL(stmfImportLu(STMF_DISK, path, NULL), STMF_ERROR_META_FILE_NAME);
	CALL(stmfImportLu(STMF_DISK, slash, NULL), STMF_ERROR_META_FILE_NAME);
	CALL(stmfModifyLuByFname(STMF_DISK, path, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_META_FILE_NAME);
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, path), STMF_ERROR_INVALID_PROPSIZE);
	BAD(stmfModifyLu(&lu, STMF_LU_PROP_SIZE, number));
	GOOD(stmfCreateLuResource(STMF_DISK, &hdl));
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, path), STMF_ERROR_INVALID_PROPSIZE);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_GUID, number), STMF_ERROR_INVALID_PROPSIZE);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_NEW, number), STMF_ERROR_INVALID_PROP);
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_SIZE, number));
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_BLOCK_SIZE, number));
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_COMPANY_ID, number));
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_WRITE_PROTECT, number));
	/* Leading zeros are digits; but what is cut may not become another number. */
	memset(number, '0', MAXPATHLEN);
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_SIZE, number));
	GOOD(stmfFreeLuResource(hdl));
}

static void group_lengths(int (*create)(stmfGroupName *), int (*destroy)(stmfGroupName *), const char *function)
{
	static const size_t lengths[] = {0, 1, 2, 3, 126, 127, 128, 250, 251, 252, 253, 254, 255};
	stmfGroupName name;
	char row[64];
	size_t i;
	int status, wanted;

	for (i = 0; i < sizeof (lengths) / sizeof (lengths[0]); i++) {
		memset(name, 0, sizeof (name));
		memset(name, 'n', lengths[i]);
		wanted = lengths[i] == 0 ? STMF_ERROR_INVALID_ARG : STMF_STATUS_SUCCESS;
		snprintf(row, sizeof (row), "group name of %zu bytes", lengths[i]);
		status = create(&name);
		check_covers(function, status);
		check_status(__LINE__, row, status, wanted);
		check_status(__LINE__, row, destroy(&name), wanted);
	}
	/* Two bytes make a character: the limit counts bytes. */
	memset(name, 0, sizeof (name));
	for (i = 0; i < 254; i += 2)
		memcpy(name + i, "\303\244", 2);
	check_status(__LINE__, "127 characters", create(&name), STMF_STATUS_SUCCESS);
	check_status(__LINE__, "127 characters", destroy(&name), STMF_STATUS_SUCCESS);
	name[254] = '\303';
	check_status(__LINE__, "half a character", create(&name), STMF_ERROR_INVALID_ARG);
}

/* Bytes that are no character of UTF-8 by themselves are refused; '*' at the front is reserved. */
static void every_byte(void)
{
	stmfGroupName group = "", all = "bad-input-bytes";
	char row[64], key[4] = "";
	stmfDevid id;
	stmfGroupProperties *members = NULL;
	stmfGroupList *groups = NULL;
	nvlist_t *list = NULL;
	int byte, wanted, status;

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	GOOD(stmfCreateHostGroup(&all));
	for (byte = 1; byte < 256; byte++) {
		snprintf(row, sizeof (row), "byte 0x%02x", (unsigned)byte);
		group[0] = key[0] = (char)byte;
		wanted = byte < 0x80 && byte != '*' ? STMF_STATUS_SUCCESS : STMF_ERROR_INVALID_ARG;
		check_status(__LINE__, row, stmfCreateHostGroup(&group), wanted);
		if (wanted == STMF_STATUS_SUCCESS) {
			check_status(__LINE__, row, stmfGetHostGroupList(&groups), STMF_STATUS_SUCCESS);
			check_true(__LINE__, row, groups->cnt == 2 && memcmp(groups->name[1], group, sizeof (group)) == 0);
			stmfFreeMemory(groups);
		}
		check_status(__LINE__, row, stmfDeleteHostGroup(&group), wanted);
		wanted = byte < 0x80 ? STMF_STATUS_SUCCESS : STMF_ERROR_INVALID_ARG;
		status = stmfSetProviderData(key, list, STMF_PORT_PROVIDER_TYPE);
		check_status(__LINE__, row, status, wanted);
		check_status(__LINE__, row, stmfClearProviderData(key, STMF_PORT_PROVIDER_TYPE), wanted);
		/* Devids are bytes. */
		memset(&id, 0, sizeof (id));
		id.identLength = 1;
		id.ident[0] = (uint8_t)byte;
		check_status(__LINE__, row, stmfAddToHostGroup(&all, &id), STMF_STATUS_SUCCESS);
	}
	nvlist_free(list);
	GOOD(stmfGetHostGroupMembers(&all, &members));
	TRUE(members->cnt == 255);
	for (byte = 1; byte < 256; byte++)
		TRUE(members->name[byte - 1].identLength == 1 && members->name[byte - 1].ident[0] == byte);
	DO(stmfFreeMemory(members));
	GOOD(stmfDeleteHostGroup(&all));
}

static void devids(void)
{
	stmfGroupName group = "bad-input-devids";
	stmfDevid longest, other, zero;
	stmfGroupProperties *members = NULL;

	memset(&longest, 'd', sizeof (longest));
	longest.identLength = 255;
	memset(&zero, 0, sizeof (zero));
	other = longest;
	other.identLength = 254;
	GOOD(stmfCreateHostGroup(&group));
	GOOD(stmfAddToHostGroup(&group, &longest));
	/* Another length is another member; what is behind the end does not count. */
	GOOD(stmfAddToHostGroup(&group, &other));
	other.ident[254] = 'e';
	CALL(stmfAddToHostGroup(&group, &other), STMF_ERROR_EXISTS);
	BAD(stmfAddToHostGroup(&group, &zero));
	zero.identLength = 255;
	BAD(stmfAddToHostGroup(&group, &zero));
	BAD(stmfRemoveFromHostGroup(&group, &zero));
	GOOD(stmfGetHostGroupMembers(&group, &members));
	TRUE(members->cnt == 2 && members->name[0].identLength == 255 && members->name[1].identLength == 254);
	TRUE(memcmp(&members->name[0], &longest, sizeof (longest)) == 0 && members->name[1].ident[254] == 0);
	DO(stmfFreeMemory(members));
	GOOD(stmfDeleteHostGroup(&group));
}

static void guid_of_zeros(void)
{
	stmfLogicalUnitProperties props;
	stmfViewEntryList *views = NULL;
	luResource hdl = NULL;
	stmfViewEntry ve;

	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	CALL(stmfGetLogicalUnitProperties(&zeros, &props), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetLuResource(&zeros, &hdl), STMF_ERROR_NOT_FOUND);
	CALL(stmfOnlineLogicalUnit(&zeros), STMF_ERROR_NOT_FOUND);
	CALL(stmfOfflineLogicalUnit(&zeros), STMF_ERROR_NOT_FOUND);
	CALL(stmfDeleteLu(&zeros), STMF_ERROR_NOT_FOUND);
	CALL(stmfLuStandby(&zeros), STMF_ERROR_NOT_FOUND);
	CALL(stmfModifyLu(&zeros, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_NOT_FOUND);
	CALL(stmfRemoveViewEntry(&zeros, 0), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetViewEntryListNotFound(&zeros, &views), STMF_ERROR_NOT_FOUND);
	GOOD(stmfAddViewEntry(&zeros, &ve));
	GOOD(stmfGetLogicalUnitProperties(&zeros, &props));
	TRUE(props.status == STMF_LOGICAL_UNIT_UNREGISTERED);
	CALL(stmfGetLuResource(&zeros, &hdl), STMF_ERROR_NOT_FOUND);
	GOOD(stmfRemoveViewEntry(&zeros, ve.veIndex));
	GOOD(stmfCreateLuResource(STMF_DISK, &hdl));
	BAD(stmfSetLuProp(hdl, STMF_LU_PROP_GUID, "00000000000000000000000000000000"));
	GOOD(stmfFreeLuResource(hdl));
}

static void luns(void)
{
	static const struct {
		unsigned lun;
		int status;
	} rows[] = {
		{0, STMF_STATUS_SUCCESS}, {1, STMF_STATUS_SUCCESS}, {255, STMF_STATUS_SUCCESS}, {256, STMF_STATUS_SUCCESS},
		{0x3ffe, STMF_STATUS_SUCCESS}, {0x3fff, STMF_STATUS_SUCCESS}, {0x4000, STMF_ERROR_INVALID_ARG},
		{0x7fff, STMF_ERROR_INVALID_ARG}, {0x8000, STMF_ERROR_INVALID_ARG}, {0xbfff, STMF_ERROR_INVALID_ARG},
		{0xc000, STMF_ERROR_INVALID_ARG}, {0xffff, STMF_ERROR_INVALID_ARG},
	};
	stmfViewEntryList *views = NULL;
	stmfViewEntry ve;
	char row[64];
	size_t i;

	for (i = 0; i < sizeof (rows) / sizeof (rows[0]); i++) {
		snprintf(row, sizeof (row), "LUN 0x%x", rows[i].lun);
		/* 0xff in byte 2 once meant "any". */
		memset(&ve, 0xff, sizeof (ve));
		ve.luNbr[0] = (uchar_t)(rows[i].lun >> 8);
		ve.luNbr[1] = (uchar_t)rows[i].lun;
		check_status(__LINE__, row, stmfValidateView(&ve), rows[i].status);
		check_status(__LINE__, row, stmfAddViewEntry(&lu, &ve), rows[i].status);
		check_true(__LINE__, row, ve.veIndexValid == (rows[i].status == STMF_STATUS_SUCCESS ? B_TRUE : B_FALSE));
		if (rows[i].status != STMF_STATUS_SUCCESS)
			continue;
		check_status(__LINE__, row, stmfGetViewEntryList(&lu, &views), STMF_STATUS_SUCCESS);
		check_true(__LINE__, row, views->ve[0].luNbr[0] == rows[i].lun >> 8 && views->ve[0].luNbr[1] == (rows[i].lun & 0xff));
		stmfFreeMemory(views);
		check_status(__LINE__, row, stmfRemoveViewEntry(&lu, UINT32_MAX), STMF_ERROR_NOT_FOUND);
		check_status(__LINE__, row, stmfRemoveViewEntry(&lu, 0), STMF_STATUS_SUCCESS);
	}
}

/* Which getter, with the same buffer and length. */
static luResource getter_hdl;
static int get_lu(char *text, size_t *length)
{
	return (stmfGetLuProp(getter_hdl, STMF_LU_PROP_ALIAS, text, length));
}
static int get_global(char *text, size_t *length)
{
	return (stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, length));
}
static int get_state(char *text, size_t *length)
{
	return (stmfGetStmfProp(STMF_DEFAULT_LU_STATE, text, length));
}

/* No byte of the buffer behind its length is written; the memory ends where the buffer does. */
static void buffer(const char *name, int (*get)(char *, size_t *), const char *value)
{
	size_t needed = strlen(value) + 1, length, room;
	char row[64], *text;
	int status;

	for (room = 0; room <= needed + 1; room++) {
		snprintf(row, sizeof (row), "%zu of %zu bytes, %s", room, needed, name);
		text = guard_fill('#', room);
		length = room;
		status = get(text, &length);
		check_covers(name, status);
		check_status(__LINE__, row, status, room < needed ? STMF_ERROR_INVALID_ARG : STMF_STATUS_SUCCESS);
		check_true(__LINE__, row, length == (room < needed ? needed : room));
		if (room > 0)
			check_true(__LINE__, row, strncmp(text, value, room - 1) == 0 && text[room < needed ? room - 1 : needed - 1] == '\0');
		if (room > needed)
			check_true(__LINE__, row, text[needed] == '#');
	}
}

static void buffers(void)
{
	GOOD(stmfCreateLuResource(STMF_DISK, &getter_hdl));
	GOOD(stmfSetLuProp(getter_hdl, STMF_LU_PROP_ALIAS, "twelve bytes"));
	buffer("stmfGetLuProp", get_lu, "twelve bytes");
	GOOD(stmfSetLuProp(getter_hdl, STMF_LU_PROP_ALIAS, ""));
	buffer("stmfGetLuProp", get_lu, "");
	GOOD(stmfFreeLuResource(getter_hdl));
	GOOD(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, "http://a"));
	buffer("stmfGetGlobalLuProp", get_global, "http://a");
	GOOD(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, ""));
	buffer("stmfGetStmfProp", get_state, "online");
}

static void handles(void)
{
	luResource hdl = NULL, again = NULL, invented[4];
	char text[64], message[] = "x";
	size_t length = sizeof (text), i;
	static const int doors[] = {-1, 0, 1, 2, 3, 1000000, INT_MAX, INT_MIN};

	GOOD(stmfCreateLuResource(STMF_DISK, &hdl));
	GOOD(stmfFreeLuResource(hdl));
	BAD(stmfFreeLuResource(hdl));
	GOOD(stmfCreateLuResource(STMF_DISK, &again));
	BAD(stmfFreeLuResource(hdl));
	invented[0] = (luResource)1;
	invented[1] = (luResource)text;
	invented[2] = (luResource)((char *)again + 1);
	invented[3] = (luResource)UINTPTR_MAX;
	for (i = 0; i < sizeof (invented) / sizeof (invented[0]); i++) {
		BAD(stmfSetLuProp(invented[i], STMF_LU_PROP_ALIAS, "x"));
		BAD(stmfGetLuProp(invented[i], STMF_LU_PROP_ALIAS, text, &length));
		BAD(stmfCreateLu(invented[i], &lu));
		BAD(stmfFreeLuResource(invented[i]));
	}
	GOOD(stmfFreeLuResource(again));
	for (i = 0; i < sizeof (doors) / sizeof (doors[0]); i++) {
		BAD(stmfPostProxyMsg(doors[i], message, sizeof (message)));
		BAD(stmfPostProxyMsg(doors[i], NULL, UINT32_MAX));
		DO(stmfDestroyProxyDoor(doors[i]));
	}
}

/* How deep lists are nested; each holds its number. */
static int depth_of(nvlist_t *list)
{
	nvlist_t *inner;
	int depth = 0, number;

	while (nvlist_lookup_int32(list, "depth", &number) == 0 && number == depth) {
		depth++;
		if (nvlist_lookup_nvlist(list, "inner", &inner) != 0)
			break;
		list = inner;
	}
	return (depth);
}

static nvlist_t *nested(int depth)
{
	nvlist_t *list = NULL, *inner = NULL;

	while (depth-- > 0) {
		TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
		TRUE(nvlist_add_int32(list, "depth", depth) == 0);
		if (inner != NULL) {
			TRUE(nvlist_add_nvlist(list, "inner", inner) == 0);
			nvlist_free(inner);
		}
		inner = list;
	}
	return (list);
}

static void lists(void)
{
	char sbd[] = "sbd", longest[300];
	nvlist_t *list = nested(100), *out = NULL;
	size_t length;

	TRUE(depth_of(list) == 100);
	GOOD(stmfSetProviderData(provider, list, STMF_LU_PROVIDER_TYPE));
	GOOD(stmfGetProviderData(provider, &out, STMF_LU_PROVIDER_TYPE));
	TRUE(depth_of(out) == 100);
	nvlist_free(out);
	GOOD(stmfClearProviderData(provider, STMF_LU_PROVIDER_TYPE));
	/* The one whose list the service looks into keeps what it does not know. */
	GOOD(stmfSetProviderData(sbd, list, STMF_LU_PROVIDER_TYPE));
	GOOD(stmfGetProviderData(sbd, &out, STMF_LU_PROVIDER_TYPE));
	TRUE(depth_of(out) == 100);
	nvlist_free(out);
	GOOD(stmfClearProviderData(sbd, STMF_LU_PROVIDER_TYPE));

	for (length = 252; length <= 258; length++) {
		int wanted = length <= 254 ? STMF_STATUS_SUCCESS : STMF_ERROR_INVALID_ARG;

		memset(longest, 'p', sizeof (longest));
		longest[length] = '\0';
		CALL(stmfSetProviderData(longest, list, STMF_PORT_PROVIDER_TYPE), wanted);
		out = NULL;
		CALL(stmfGetProviderData(longest, &out, STMF_PORT_PROVIDER_TYPE), wanted);
		nvlist_free(out);
		CALL(stmfClearProviderData(longest, STMF_PORT_PROVIDER_TYPE), wanted);
	}
	nvlist_free(list);
}

int main(void)
{
	null_everywhere();
	without_end();
	group_lengths(stmfCreateHostGroup, stmfDeleteHostGroup, "stmfCreateHostGroup");
	group_lengths(stmfCreateTargetGroup, stmfDeleteTargetGroup, "stmfCreateTargetGroup");
	every_byte();
	devids();
	guid_of_zeros();
	luns();
	buffers();
	handles();
	lists();
	return (check_end());
}
