/* Logical units: resources, creation, listing, state, import, deletion. */
#include <libstmf.h>
#include <fcntl.h>
#include <unistd.h>
#include "backing.h"
#include "check.h"

static stmfGuid unknown = {{0x60, 0x01, 0x44, 0xf0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 1}};

/* A call in a loop: the row is its name when it fails. */
static int in_row(int line, const char *row, const char *function, int got, int wanted)
{
	check_covers(function, got);
	return (check_status(line, row, got, wanted));
}

static void set_texts(void)
{
	static char longest[5000];
	static const struct {
		uint32_t prop;
		size_t limit;
	} limits[] = {
		{STMF_LU_PROP_ALIAS, 255}, {STMF_LU_PROP_MGMT_URL, 1023}, {STMF_LU_PROP_FILENAME, 4095},
		{STMF_LU_PROP_META_FILENAME, 4095}, {STMF_LU_PROP_SERIAL_NUM, 252}, {STMF_LU_PROP_VID, 8},
		{STMF_LU_PROP_PID, 16}, {STMF_LU_PROP_DATA_FILENAME, 4095},
	};
	static const struct {
		uint32_t prop;
		const char *text;
		int status;
		const char *back;
	} rows[] = {
		{STMF_LU_PROP_ALIAS, "", STMF_STATUS_SUCCESS, ""},
		{STMF_LU_PROP_ALIAS, "one", STMF_STATUS_SUCCESS, "one"},
		{STMF_LU_PROP_FILENAME, "", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_META_FILENAME, "", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_BLOCK_SIZE, "", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_BLOCK_SIZE, "1k", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_BLOCK_SIZE, "-512", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_BLOCK_SIZE, "65536", STMF_ERROR_INVALID_PROPSIZE, NULL},
		{STMF_LU_PROP_BLOCK_SIZE, "65535", STMF_STATUS_SUCCESS, "65535"},
		{STMF_LU_PROP_BLOCK_SIZE, "4096", STMF_STATUS_SUCCESS, "4096"},
		{STMF_LU_PROP_COMPANY_ID, "00144", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_COMPANY_ID, "000000", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_COMPANY_ID, "00144x", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_COMPANY_ID, "00144f", STMF_STATUS_SUCCESS, NULL},
		{STMF_LU_PROP_HOST_ID, "00000000", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_HOST_ID, "1234567", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_HOST_ID, "1234567a", STMF_STATUS_SUCCESS, NULL},
		{STMF_LU_PROP_GUID, "600144f0", STMF_ERROR_INVALID_PROPSIZE, NULL},
		{STMF_LU_PROP_GUID, "600144f0c0ffee0000005a3c817e000x", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_GUID, "500144f0c0ffee0000005a3c817e0001", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_GUID, "600144f0c0ffee0000005a3c817e0001", STMF_STATUS_SUCCESS,
		    "600144F0C0FFEE0000005A3C817E0001"},
		{STMF_LU_PROP_SIZE, "ten", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_SIZE, "1.", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_SIZE, "16e", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_SIZE, ".5giB", STMF_STATUS_SUCCESS, "536870912"},
		{STMF_LU_PROP_WRITE_PROTECT, "on", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_WRITE_PROTECT, "TRUE", STMF_STATUS_SUCCESS, "true"},
		{STMF_LU_PROP_WRITE_CACHE_DISABLE, "0", STMF_ERROR_INVALID_ARG, NULL},
		{STMF_LU_PROP_WRITE_CACHE_DISABLE, "False", STMF_STATUS_SUCCESS, "false"},
		{STMF_LU_PROP_VID, "ACME", STMF_STATUS_SUCCESS, "ACME    "},
		{STMF_LU_PROP_PID, "Disk", STMF_STATUS_SUCCESS, "Disk            "},
		{STMF_LU_PROP_SERIAL_NUM, "42", STMF_STATUS_SUCCESS, "42"},
		{STMF_LU_PROP_MGMT_URL, "http://a http://b", STMF_STATUS_SUCCESS, "http://a http://b"},
		{STMF_LU_PROP_NEW, "x", STMF_ERROR_INVALID_PROP, NULL},
		{STMF_LU_PROP_ACCESS_STATE, "0", STMF_ERROR_INVALID_PROP, NULL},
		{0, "x", STMF_ERROR_INVALID_PROP, NULL},
		{17, "x", STMF_ERROR_INVALID_PROP, NULL},
	};
	luResource hdl = NULL;
	char text[5000], row[64];
	size_t i, len;

	CALL(stmfCreateLuResource(1, &hdl), STMF_ERROR_INVALID_ARG);
	CALL(stmfCreateLuResource(STMF_DISK, NULL), STMF_ERROR_INVALID_ARG);
	TRUE(hdl == NULL);
	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(NULL, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_ALIAS, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfCreateLu(NULL, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfCreateLu(hdl, NULL), STMF_ERROR_MISSING_PROP_VAL);

	memset(longest, 'x', sizeof (longest));
	for (i = 0; i < sizeof (limits) / sizeof (limits[0]); i++) {
		snprintf(row, sizeof (row), "property %u at its limit", limits[i].prop);
		longest[limits[i].limit] = '\0';
		in_row(__LINE__, row, "stmfSetLuProp", stmfSetLuProp(hdl, limits[i].prop, longest), STMF_STATUS_SUCCESS);
		longest[limits[i].limit] = 'x';
		longest[limits[i].limit + 1] = '\0';
		snprintf(row, sizeof (row), "property %u above its limit", limits[i].prop);
		in_row(__LINE__, row, "stmfSetLuProp", stmfSetLuProp(hdl, limits[i].prop, longest),
		    STMF_ERROR_INVALID_PROPSIZE);
		longest[limits[i].limit + 1] = 'x';
		len = sizeof (text);
		in_row(__LINE__, row, "stmfGetLuProp", stmfGetLuProp(hdl, limits[i].prop, text, &len), STMF_STATUS_SUCCESS);
		check_true(__LINE__, row, strlen(text) == limits[i].limit);
	}
	for (i = 0; i < sizeof (rows) / sizeof (rows[0]); i++) {
		snprintf(row, sizeof (row), "property %u \"%.40s\"", rows[i].prop, rows[i].text);
		in_row(__LINE__, row, "stmfSetLuProp", stmfSetLuProp(hdl, rows[i].prop, rows[i].text), rows[i].status);
		if (rows[i].back == NULL)
			continue;
		len = sizeof (text);
		in_row(__LINE__, row, "stmfGetLuProp", stmfGetLuProp(hdl, rows[i].prop, text, &len), STMF_STATUS_SUCCESS);
		check_text(__LINE__, row, text, rows[i].back);
		check_true(__LINE__, row, len == sizeof (text));
		len = strlen(rows[i].back);
		in_row(__LINE__, row, "stmfGetLuProp", stmfGetLuProp(hdl, rows[i].prop, text, &len), STMF_ERROR_INVALID_ARG);
		check_true(__LINE__, row, len == strlen(rows[i].back) + 1);
	}
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_MGMT_URL, ""), STMF_STATUS_SUCCESS);
	len = sizeof (text);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_MGMT_URL, text, &len), STMF_ERROR_NO_PROP);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfCreateLu(hdl, NULL), STMF_ERROR_INVALID_ARG);
}

static const char *meta_file;

static int create(const char *path, const char *size, const char *block, const char *guid, stmfGuid *out)
{
	luResource hdl;
	int status;

	if (stmfCreateLuResource(STMF_DISK, &hdl) != STMF_STATUS_SUCCESS)
		return (-1);
	if (stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, path) != STMF_STATUS_SUCCESS ||
	    (meta_file != NULL && stmfSetLuProp(hdl, STMF_LU_PROP_META_FILENAME, meta_file) != STMF_STATUS_SUCCESS) ||
	    (size != NULL && stmfSetLuProp(hdl, STMF_LU_PROP_SIZE, size) != STMF_STATUS_SUCCESS) ||
	    (block != NULL && stmfSetLuProp(hdl, STMF_LU_PROP_BLOCK_SIZE, block) != STMF_STATUS_SUCCESS) ||
	    (guid != NULL && stmfSetLuProp(hdl, STMF_LU_PROP_GUID, guid) != STMF_STATUS_SUCCESS))
		status = -1;
	else
		status = stmfCreateLu(hdl, out);
	stmfFreeLuResource(hdl);
	check_covers("stmfCreateLu", status);
	return (status);
}

static int listed(const stmfGuid *guid)
{
	stmfGuidList *list = NULL;
	uint32_t i;
	int found = 0;

	CALL(stmfGetLogicalUnitList(&list), STMF_STATUS_SUCCESS);
	for (i = 0; i < list->cnt; i++) {
		if (i > 0)
			TRUE(memcmp(&list->guid[i - 1], &list->guid[i], sizeof (stmfGuid)) < 0);
		if (memcmp(&list->guid[i], guid, sizeof (stmfGuid)) == 0)
			found++;
	}
	stmfFreeMemory(list);
	return (found);
}

static void property_is(int line, stmfGuid *lu, uint32_t prop, const char *wanted)
{
	luResource hdl = NULL;
	char text[4200] = "?";
	size_t len = sizeof (text);

	check_status(line, "stmfGetLuResource", stmfGetLuResource(lu, &hdl), STMF_STATUS_SUCCESS);
	check_status(line, "stmfGetLuProp", stmfGetLuProp(hdl, prop, text, &len), STMF_STATUS_SUCCESS);
	check_text(line, "property", text, wanted);
	check_status(line, "stmfFreeLuResource", stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void life(void)
{
	struct backing file, small;
	stmfLogicalUnitProperties props;
	stmfGuid lu, other, none;
	char text[33], guid[33];
	unsigned i;

	memset(&none, 0, sizeof (none));
	memset(&lu, 0, sizeof (lu));
	backing_make(&file, 8 * MIB);
	backing_make(&small, MIB / 2);

	CALL(create("/nonexistent/data", "2m", NULL, NULL, &lu), STMF_ERROR_DATA_FILE_NAME);
	CALL(create("relative", "2m", NULL, NULL, &lu), STMF_ERROR_DATA_FILE_NAME);
	CALL(create("/", "2m", NULL, NULL, &lu), STMF_ERROR_DATA_FILE_NAME);
	CALL(create(file.path, "2m", "513", NULL, &lu), STMF_ERROR_INVALID_BLKSIZE);
	CALL(create(file.path, "2m", "256", NULL, &lu), STMF_ERROR_INVALID_BLKSIZE);
	CALL(create(file.path, "1048575", NULL, NULL, &lu), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(create(file.path, "0", NULL, NULL, &lu), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(create(file.path, "2097153", NULL, NULL, &lu), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(create(small.path, NULL, NULL, NULL, &lu), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(create(file.path, "7E", NULL, NULL, &lu), STMF_ERROR_SIZE_OUT_OF_RANGE);
	TRUE(memcmp(&lu, &none, sizeof (lu)) == 0);
	CALL(create(file.path, "2m", "4096", NULL, &lu), STMF_STATUS_SUCCESS);
	TRUE((lu.guid[0] & 0xf0) == 0x60);
	TRUE(memcmp(lu.guid, "\x60\x01\x44\xf0", 4) == 0);
	TRUE(listed(&lu) == 1);
	TRUE(listed(&unknown) == 0);
	CALL(create(file.path, "2m", NULL, NULL, NULL), STMF_ERROR_FILE_IN_USE);
	for (i = 0; i < 16; i++)
		snprintf(guid + 2 * i, 3, "%02X", lu.guid[i]);
	CALL(create(small.path, "2m", NULL, guid, &other), STMF_ERROR_GUID_IN_USE);

	CALL(stmfGetLogicalUnitList(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProperties(NULL, &props), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProperties(&lu, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProperties(&unknown, &props), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetLogicalUnitProperties(&lu, &props), STMF_STATUS_SUCCESS);
	TRUE(props.status == STMF_LOGICAL_UNIT_ONLINE);
	TEXT(props.providerName, "sbd");
	TRUE(memcmp(&props.luid, &lu, sizeof (lu)) == 0);
	TRUE(memcmp(props.vendor, "SUN     ", 8) == 0);
	TRUE(memcmp(props.product, "COMSTAR         ", 16) == 0);
	TRUE(memcmp(props.revision, "1.0 ", 4) == 0);
	TEXT(props.alias, file.path);

	property_is(__LINE__, &lu, STMF_LU_PROP_FILENAME, file.path);
	property_is(__LINE__, &lu, STMF_LU_PROP_ALIAS, file.path);
	property_is(__LINE__, &lu, STMF_LU_PROP_GUID, guid);
	property_is(__LINE__, &lu, STMF_LU_PROP_SIZE, "2097152");
	property_is(__LINE__, &lu, STMF_LU_PROP_BLOCK_SIZE, "4096");
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_PROTECT, "false");
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_CACHE_DISABLE, "false");
	property_is(__LINE__, &lu, STMF_LU_PROP_VID, "SUN     ");
	property_is(__LINE__, &lu, STMF_LU_PROP_PID, "COMSTAR         ");
	property_is(__LINE__, &lu, STMF_LU_PROP_ACCESS_STATE, STMF_ACCESS_ACTIVE);

	CALL(stmfOnlineLogicalUnit(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfOfflineLogicalUnit(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfOnlineLogicalUnit(&unknown), STMF_ERROR_NOT_FOUND);
	CALL(stmfOfflineLogicalUnit(&unknown), STMF_ERROR_NOT_FOUND);
	for (i = 0; i < 3; i++) {
		CALL(stmfOfflineLogicalUnit(&lu), STMF_STATUS_SUCCESS);
		CALL(stmfOfflineLogicalUnit(&lu), STMF_STATUS_SUCCESS);
		CALL(stmfGetLogicalUnitProperties(&lu, &props), STMF_STATUS_SUCCESS);
		TRUE(props.status == STMF_LOGICAL_UNIT_OFFLINE);
		CALL(stmfOnlineLogicalUnit(&lu), STMF_STATUS_SUCCESS);
		CALL(stmfOnlineLogicalUnit(&lu), STMF_STATUS_SUCCESS);
		CALL(stmfGetLogicalUnitProperties(&lu, &props), STMF_STATUS_SUCCESS);
		TRUE(props.status == STMF_LOGICAL_UNIT_ONLINE);
	}

	CALL(stmfDeleteLu(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfDeleteLu(&unknown), STMF_ERROR_NOT_FOUND);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu), STMF_ERROR_NOT_FOUND);
	TRUE(listed(&lu) == 0);
	CALL(stmfGetLogicalUnitProperties(&lu, &props), STMF_ERROR_NOT_FOUND);
	TRUE(props.providerName[0] == '\0' && props.status == 0);

	CALL(stmfImportLu(1, file.path, &other), STMF_ERROR_INVALID_ARG);
	CALL(stmfImportLu(STMF_DISK, NULL, &other), STMF_ERROR_INVALID_ARG);
	snprintf(text, sizeof (text), "relative");
	CALL(stmfImportLu(STMF_DISK, text, &other), STMF_ERROR_META_FILE_NAME);
	snprintf(text, sizeof (text), "/nonexistent/data");
	CALL(stmfImportLu(STMF_DISK, text, &other), STMF_ERROR_META_FILE_NAME);
	CALL(stmfImportLu(STMF_DISK, small.path, &other), STMF_ERROR_META_FILE_NAME);
	CALL(stmfImportLu(STMF_DISK, file.path, &other), STMF_STATUS_SUCCESS);
	TRUE(memcmp(&other, &lu, sizeof (lu)) == 0);
	property_is(__LINE__, &lu, STMF_LU_PROP_BLOCK_SIZE, "4096");
	CALL(stmfImportLu(STMF_DISK, file.path, NULL), STMF_ERROR_FILE_IN_USE);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	backing_remove(&file);
	backing_remove(&small);
}

/* Metadata beside the data, and files that are not what they were. */
static void files(void)
{
	struct backing data, meta, copy;
	stmfGuid lu, other;
	char away[5000], command[10000];

	backing_make(&data, 4 * MIB);
	backing_make(&meta, MIB);
	backing_make(&copy, 4 * MIB);
	snprintf(away, sizeof (away), "%s.away", data.path);
	meta_file = "/nonexistent/meta";
	CALL(create(data.path, "2m", NULL, NULL, &lu), STMF_ERROR_META_FILE_NAME);
	meta_file = "relative";
	CALL(create(data.path, "2m", NULL, NULL, &lu), STMF_ERROR_META_FILE_NAME);
	meta_file = data.path;
	CALL(create(data.path, "2m", NULL, NULL, &lu), STMF_ERROR_FILE_IN_USE);
	meta_file = meta.path;
	CALL(create(data.path, "2m", NULL, NULL, &lu), STMF_STATUS_SUCCESS);
	property_is(__LINE__, &lu, STMF_LU_PROP_META_FILENAME, meta.path);
	property_is(__LINE__, &lu, STMF_LU_PROP_ALIAS, meta.path);
	/* One file backs one LU, whatever part it has there. */
	meta_file = NULL;
	CALL(create(data.path, "2m", NULL, NULL, &other), STMF_ERROR_FILE_IN_USE);
	CALL(create(meta.path, "2m", NULL, NULL, &other), STMF_ERROR_FILE_IN_USE);
	meta_file = meta.path;
	CALL(create(copy.path, "2m", NULL, NULL, &other), STMF_ERROR_FILE_IN_USE);
	meta_file = data.path;
	CALL(create(copy.path, "2m", NULL, NULL, &other), STMF_ERROR_FILE_IN_USE);
	meta_file = NULL;

	/* Given up, it cannot be taken back without its data. */
	CALL(stmfLuStandby(&lu), STMF_STATUS_SUCCESS);
	TRUE(rename(data.path, away) == 0);
	CALL(stmfImportLu(STMF_DISK, meta.path, &other), STMF_ERROR_ACCESS_STATE_SET);
	property_is(__LINE__, &lu, STMF_LU_PROP_ACCESS_STATE, STMF_ACCESS_ACTIVE_TO_STANDBY);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfImportLu(STMF_DISK, meta.path, &other), STMF_ERROR_DATA_FILE_NAME);
	CALL(stmfModifyLuByFname(STMF_DISK, meta.path, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_DATA_FILE_NAME);
	TRUE(rename(away, data.path) == 0);
	CALL(stmfImportLu(STMF_DISK, meta.path, &other), STMF_STATUS_SUCCESS);
	TRUE(memcmp(&other, &lu, sizeof (lu)) == 0);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);

	/* A copy names the LU of the original. */
	CALL(create(data.path, "2m", NULL, NULL, &lu), STMF_STATUS_SUCCESS);
	snprintf(command, sizeof (command), "cp '%s' '%s'", data.path, copy.path);
	TRUE(system(command) == 0);
	memset(&other, 0, sizeof (other));
	CALL(stmfImportLu(STMF_DISK, copy.path, &other), STMF_ERROR_GUID_IN_USE);
	TRUE(other.guid[0] == 0);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	backing_remove(&data);
	backing_remove(&meta);
	backing_remove(&copy);
}

int main(void)
{
	set_texts();
	life();
	files();
	return (check_end());
}
