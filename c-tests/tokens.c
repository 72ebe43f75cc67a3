/*
 * Tokens of provider data outlive the process and the service: "tokens set FILE" sets data and keeps its token in the file, "tokens use
 * FILE", after a restart, finds data and token as they were; no token of the past ever fits again.
 */
#include <libstmf.h>
#include <inttypes.h>
#include "check.h"

#define LU STMF_LU_PROVIDER_TYPE

static char name[] = "tokens", other[] = "tokens-2";

static nvlist_t *numbered(int number)
{
	nvlist_t *list = NULL;

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0 && nvlist_add_int32(list, "number", number) == 0);
	return (list);
}

static void set(const char *path)
{
	nvlist_t *first = numbered(1), *second = numbered(2);
	uint64_t past = 0, token, gone = 0;
	FILE *file = fopen(path, "w");

	CALL(stmfSetProviderDataProt(name, first, LU, &past), STMF_STATUS_SUCCESS);
	token = past;
	CALL(stmfSetProviderDataProt(name, second, LU, &token), STMF_STATUS_SUCCESS);
	CALL(stmfSetProviderDataProt(other, first, LU, &gone), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(other, LU), STMF_STATUS_SUCCESS);
	TRUE(file != NULL && fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", past, token, gone) > 0 && fclose(file) == 0);
	nvlist_free(first);
	nvlist_free(second);
}

static void use(const char *path)
{
	uint64_t past = 0, kept = 0, gone = 0, token = 0, newest;
	nvlist_t *list = NULL, *third = numbered(3);
	FILE *file = fopen(path, "r");
	int number = 0;

	TRUE(file != NULL && fscanf(file, "%" SCNu64 "%" SCNu64 "%" SCNu64, &past, &kept, &gone) == 3 && fclose(file) == 0);
	CALL(stmfGetProviderDataProt(name, &list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(token == kept && nvlist_lookup_int32(list, "number", &number) == 0 && number == 2);
	nvlist_free(list);
	CALL(stmfSetProviderDataProt(name, third, LU, &past), STMF_ERROR_PROV_DATA_STALE);
	CALL(stmfSetProviderDataProt(name, third, LU, &kept), STMF_STATUS_SUCCESS);
	TRUE(kept > token && kept > gone);
	CALL(stmfSetProviderDataProt(name, third, LU, &token), STMF_ERROR_PROV_DATA_STALE);
	/* Cleared before the restart: 0 fits, and what comes then is new. */
	CALL(stmfSetProviderDataProt(other, third, LU, &gone), STMF_ERROR_PROV_DATA_STALE);
	newest = 0;
	CALL(stmfSetProviderDataProt(other, third, LU, &newest), STMF_STATUS_SUCCESS);
	TRUE(newest > kept && newest > gone);
	CALL(stmfClearProviderData(other, LU), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(name, LU), STMF_STATUS_SUCCESS);
	nvlist_free(third);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return (EXIT_FAILURE);
	if (strcmp(argv[1], "set") == 0)
		set(argv[2]);
	else
		use(argv[2]);
	return (check_end());
}
