/* The opt-ins of the header: each chooses another symbol of the same library. */
#define LIBSTMF_ILLUMOS_COMPAT
#define LIBSTMF_VIEW_LIST_NOT_FOUND
#include <libstmf.h>
#include "check.h"

int main(void)
{
	stmfGuid unknown = {{0x60, 0x01, 0x44, 0xf0, 0xdd, 0xdd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}};
	stmfViewEntryList *list = NULL;
	boolean_t enabled = B_TRUE;
	uint32_t node = 0xeeeeeeee;

	CALL(stmfSetAluaState(B_TRUE, 256), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetAluaState(B_TRUE, 0x80000000u), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetAluaState(&enabled, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetAluaState(B_TRUE, 1), STMF_STATUS_SUCCESS);
	CALL(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_TRUE && node == 1);
	CALL(stmfSetAluaState(B_FALSE, 4711), STMF_STATUS_SUCCESS);
	CALL(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_FALSE && node == 1);

	CALL(stmfGetViewEntryList(&unknown, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetViewEntryList(&unknown, &list), STMF_ERROR_NOT_FOUND);
	TRUE(list == NULL);
	return (check_end());
}
