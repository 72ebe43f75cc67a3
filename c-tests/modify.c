/* stmfModifyLu, stmfModifyLuByFname, the properties of all LUs: row by row. */
#include <libstmf.h>
#include "backing.h"
#include "check.h"

static stmfGuid unknown = {{0x60, 0x01, 0x44, 0xf0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1}};

static void create(const char *file, const char *size, stmfGuid *lu)
{
	luResource hdl = NULL;

	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_SIZE, size), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, lu), STMF_STATUS_SUCCESS);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void property_is(int line, stmfGuid *lu, uint32_t prop, const char *wanted)
{
	luResource hdl = NULL;
	char text[4200] = "?";
	size_t len = sizeof (text);

	check_status(line, "stmfGetLuResource", stmfGetLuResource(lu, &hdl), STMF_STATUS_SUCCESS);
	check_status(line, "stmfGetLuProp", stmfGetLuProp(hdl, prop, text, &len),
	    wanted == NULL ? STMF_ERROR_NO_PROP : STMF_STATUS_SUCCESS);
	if (wanted != NULL)
		check_text(line, "property", text, wanted);
	check_status(line, "stmfFreeLuResource", stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

/* The same rows for both ways to name an LU. */
static int by_guid;
static stmfGuid lu;
static struct backing file;

static int modify(uint32_t prop, const char *value)
{
	int status;

	if (by_guid)
		status = stmfModifyLu(&lu, prop, value);
	else
		status = stmfModifyLuByFname(STMF_DISK, file.path, prop, value);
	check_covers(by_guid ? "stmfModifyLu" : "stmfModifyLuByFname", status);
	return (status);
}

static void rows(void)
{
	char longer[1100];
	uint32_t prop;

	memset(longer, 'x', sizeof (longer));
	longer[1024] = '\0';
	CALL(modify(STMF_LU_PROP_ALIAS, NULL), STMF_ERROR_INVALID_ARG);
	for (prop = 0; prop <= 17; prop++) {
		if (prop != STMF_LU_PROP_ALIAS && prop != STMF_LU_PROP_SIZE && prop != STMF_LU_PROP_MGMT_URL &&
		    prop != STMF_LU_PROP_WRITE_PROTECT && prop != STMF_LU_PROP_WRITE_CACHE_DISABLE)
			CALL(modify(prop, "1"), STMF_ERROR_INVALID_PROP);
	}
	CALL(modify(STMF_LU_PROP_MGMT_URL, longer), STMF_ERROR_INVALID_PROPSIZE);
	longer[256] = '\0';
	CALL(modify(STMF_LU_PROP_ALIAS, longer), STMF_ERROR_INVALID_PROPSIZE);
	CALL(modify(STMF_LU_PROP_SIZE, "many"), STMF_ERROR_INVALID_ARG);
	CALL(modify(STMF_LU_PROP_WRITE_PROTECT, "on"), STMF_ERROR_INVALID_ARG);
	CALL(modify(STMF_LU_PROP_WRITE_CACHE_DISABLE, "1"), STMF_ERROR_INVALID_ARG);
	CALL(modify(STMF_LU_PROP_SIZE, "1048575"), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(modify(STMF_LU_PROP_SIZE, "2097153"), STMF_ERROR_FILE_SIZE_INVALID);
	CALL(modify(STMF_LU_PROP_SIZE, "7E"), STMF_ERROR_SIZE_OUT_OF_RANGE);

	longer[255] = '\0';
	CALL(modify(STMF_LU_PROP_ALIAS, longer), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_ALIAS, by_guid ? "by guid" : "by name"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_SIZE, "16m"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_SIZE, by_guid ? "3m" : "1m"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_MGMT_URL, "http://a http://b"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_WRITE_PROTECT, "TRUE"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_WRITE_CACHE_DISABLE, "true"), STMF_STATUS_SUCCESS);
}

static void changed(void)
{
	property_is(__LINE__, &lu, STMF_LU_PROP_ALIAS, by_guid ? "by guid" : "by name");
	property_is(__LINE__, &lu, STMF_LU_PROP_SIZE, by_guid ? "3145728" : "1048576");
	property_is(__LINE__, &lu, STMF_LU_PROP_MGMT_URL, "http://a http://b");
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_PROTECT, "true");
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_CACHE_DISABLE, "true");
	CALL(modify(STMF_LU_PROP_WRITE_PROTECT, "false"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_WRITE_CACHE_DISABLE, "False"), STMF_STATUS_SUCCESS);
	CALL(modify(STMF_LU_PROP_MGMT_URL, ""), STMF_STATUS_SUCCESS);
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_PROTECT, "false");
	property_is(__LINE__, &lu, STMF_LU_PROP_WRITE_CACHE_DISABLE, "false");
	property_is(__LINE__, &lu, STMF_LU_PROP_MGMT_URL, NULL);
}

static void lives(void)
{
	stmfViewEntry entry;
	struct backing empty;
	char name[] = "/nonexistent/lu";

	backing_make(&file, 8 * MIB);
	backing_make(&empty, MIB);
	create(file.path, "2m", &lu);

	CALL(stmfModifyLu(NULL, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfModifyLu(&unknown, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_NOT_FOUND);
	memset(&entry, 0, sizeof (entry));
	entry.allHosts = entry.allTargets = B_TRUE;
	CALL(stmfAddViewEntry(&unknown, &entry), STMF_STATUS_SUCCESS);
	CALL(stmfModifyLu(&unknown, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_NOT_FOUND);
	CALL(stmfRemoveViewEntry(&unknown, entry.veIndex), STMF_STATUS_SUCCESS);
	CALL(stmfModifyLuByFname(1, file.path, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfModifyLuByFname(STMF_DISK, NULL, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfModifyLuByFname(STMF_DISK, name, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_META_FILE_NAME);
	CALL(stmfModifyLuByFname(STMF_DISK, "relative", STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_META_FILE_NAME);
	CALL(stmfModifyLuByFname(STMF_DISK, empty.path, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_META_FILE_NAME);

	by_guid = 1;
	rows();
	changed();
	/* Registered, by its name. */
	by_guid = 0;
	rows();
	changed();
	/* What was changed is in the metadata. */
	by_guid = 1;
	rows();
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfImportLu(STMF_DISK, file.path, NULL), STMF_STATUS_SUCCESS);
	changed();
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_NOT_FOUND);
	/* Not registered: it stays so. */
	by_guid = 0;
	rows();
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_NOT_FOUND);
	CALL(stmfImportLu(STMF_DISK, file.path, NULL), STMF_STATUS_SUCCESS);
	changed();
	/* Not Active. */
	CALL(stmfLuStandby(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_ACCESS_STATE_SET);
	CALL(stmfModifyLuByFname(STMF_DISK, file.path, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_ACCESS_STATE_SET);
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_VID, "x"), STMF_ERROR_INVALID_PROP);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	backing_remove(&file);
	backing_remove(&empty);
}

static void global(void)
{
	char longer[1025], text[1100] = "?";
	size_t len = sizeof (text);
	struct backing data;
	stmfGuid id;

	memset(longer, 'u', sizeof (longer));
	longer[1024] = '\0';
	CALL(stmfSetGlobalLuProp(1, STMF_LU_PROP_MGMT_URL, "x"), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_PROP);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, longer), STMF_ERROR_INVALID_PROPSIZE);
	CALL(stmfGetGlobalLuProp(1, STMF_LU_PROP_MGMT_URL, text, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, NULL, &len), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_ALIAS, text, &len), STMF_ERROR_INVALID_PROP);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &len), STMF_ERROR_NO_PROP);
	longer[1023] = '\0';
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, longer), STMF_STATUS_SUCCESS);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &len), STMF_STATUS_SUCCESS);
	TEXT(text, longer);
	TRUE(len == sizeof (text));
	len = 10;
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &len), STMF_ERROR_INVALID_ARG);
	TRUE(len == 1024 && strlen(text) == 9);

	/* LUs without one of their own have it. */
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, "http://all"), STMF_STATUS_SUCCESS);
	backing_make(&data, 4 * MIB);
	create(data.path, "2m", &id);
	property_is(__LINE__, &id, STMF_LU_PROP_MGMT_URL, "http://all");
	CALL(stmfModifyLu(&id, STMF_LU_PROP_MGMT_URL, "http://own"), STMF_STATUS_SUCCESS);
	property_is(__LINE__, &id, STMF_LU_PROP_MGMT_URL, "http://own");
	CALL(stmfModifyLu(&id, STMF_LU_PROP_MGMT_URL, ""), STMF_STATUS_SUCCESS);
	property_is(__LINE__, &id, STMF_LU_PROP_MGMT_URL, "http://all");
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, ""), STMF_STATUS_SUCCESS);
	property_is(__LINE__, &id, STMF_LU_PROP_MGMT_URL, NULL);
	CALL(stmfDeleteLu(&id), STMF_STATUS_SUCCESS);
	backing_remove(&data);
}

int main(void)
{
	lives();
	global();
	return (check_end());
}
