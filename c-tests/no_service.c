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
