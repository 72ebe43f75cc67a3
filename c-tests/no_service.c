/* Nobody serves: arguments are still checked first, what needs no service works, all else says so. */
#include <libstmf.h>
#include "check.h"

int main(void)
{
	char name[] = "iqn.2026-01.test:a", message[] = "x", file[] = "/nonexistent";
	char long_name[256];
	stmfGuid guid = {{0x60}};
	stmfDevid id;
	stmfState state;
	stmfGuidList *guids = NULL;
	stmfGroupList *groups = NULL;
	stmfGroupName group = "g";
	stmfViewEntry ve;
	luResource hdl = NULL;
	boolean_t enabled;
	char online[] = "online";
	size_t length = sizeof (long_name);
	nvlist_t *list = NULL;
	stmfProviderList *providers = NULL;
	uint8_t node;
	int door = 7;
	int i;

	/* More than once: a call that found nobody leaves nothing behind. */
	for (i = 0; i < 3; i++) {
		CALL(stmfGetState(&state), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetState(NULL), STMF_ERROR_INVALID_ARG);
		CALL(stmfGetLogicalUnitList(&guids), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetHostGroupList(&groups), STMF_ERROR_SERVICE_NOT_FOUND);
		TRUE(guids == NULL && groups == NULL);
		CALL(stmfCreateHostGroup(&group), STMF_ERROR_SERVICE_NOT_FOUND);
		memset(long_name, 'x', sizeof (long_name));
		CALL(stmfCreateHostGroup((stmfGroupName *)(void *)long_name), STMF_ERROR_INVALID_ARG);
		memset(&ve, 0, sizeof (ve));
		ve.allTargets = B_TRUE;
		CALL(stmfAddViewEntry(&guid, &ve), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfSetAluaState(B_TRUE, 0), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfSetAluaState(B_TRUE, 2), STMF_ERROR_INVALID_ARG);
		CALL(stmfGetAluaState(&enabled, &node), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfLuStandby(&guid), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfInitProxyDoor(&door, 0), STMF_ERROR_SERVICE_NOT_FOUND);
		TRUE(door == -1);
		CALL(stmfPostProxyMsg(1, message, 1), STMF_ERROR_INVALID_ARG);
		stmfDestroyProxyDoor(1);
		CALL(stmfImportLu(STMF_DISK, file, NULL), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfImportLu(9, file, NULL), STMF_ERROR_INVALID_ARG);
		CALL(stmfDeleteLu(&guid), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfModifyLu(&guid, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfModifyLu(&guid, STMF_LU_PROP_VID, "x"), STMF_ERROR_INVALID_PROP);
		CALL(stmfModifyLuByFname(STMF_DISK, file, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, ""), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, long_name, &length),
		    STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, online), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, file), STMF_ERROR_INVALID_ARG);
		CALL(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, long_name, &length), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfLoadConfig(), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfLoadStmfProps(), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetPersistMethod(&node, B_TRUE), STMF_ERROR_PERSIST_TYPE);
		CALL(stmfSetPersistMethod(STMF_PERSIST_NONE, B_TRUE), STMF_ERROR_PERSIST_TYPE);
		/* Never set by this process, as the last call has failed. */
		CALL(stmfGetPersistMethod(&node, B_FALSE), STMF_STATUS_SUCCESS);
		TRUE(node == STMF_PERSIST_SMF);
		ve.allHosts = B_TRUE;
		CALL(stmfValidateView(&ve), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetProviderData(name, &list, STMF_LU_PROVIDER_TYPE), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetProviderData(name, &list, 3), STMF_ERROR_INVALID_ARG);
		CALL(stmfClearProviderData(name, STMF_LU_PROVIDER_TYPE), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetProviderDataList(&providers), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetLogicalUnitProviderList(&providers), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfGetLocalPortProviderList(&providers), STMF_ERROR_SERVICE_NOT_FOUND);
		TRUE(list == NULL && providers == NULL);

		CALL(stmfDevidFromIscsiName(name, &id), STMF_STATUS_SUCCESS);
		CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
		CALL(stmfSetLuProp(hdl, STMF_LU_PROP_ALIAS, "a"), STMF_STATUS_SUCCESS);
		CALL(stmfCreateLu(hdl, NULL), STMF_ERROR_MISSING_PROP_VAL);
		CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file), STMF_STATUS_SUCCESS);
		CALL(stmfCreateLu(hdl, NULL), STMF_ERROR_SERVICE_NOT_FOUND);
		CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
	}
	return (check_end());
}
