/* Ends while it has a logical unit: "create FILE" makes it, "import FILE" finds it as the one before left it. */
#include <libstmf.h>
#include "check.h"

int main(int argc, char **argv)
{
	luResource hdl = NULL;
	stmfGuid lu;

	if (argc != 3)
		return (EXIT_FAILURE);
	if (strcmp(argv[1], "import") == 0)
		CALL(stmfImportLu(STMF_DISK, argv[2], &lu), STMF_STATUS_SUCCESS);
	else {
		CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
		CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, argv[2]), STMF_STATUS_SUCCESS);
		CALL(stmfCreateLu(hdl, &lu), STMF_STATUS_SUCCESS);
	}
	return (check_end());
}
