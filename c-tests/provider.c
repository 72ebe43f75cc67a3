/* Providers and their data, with lists of the system's libnvpair: row by row. */
#include <libstmf.h>
#include "backing.h"
#include "check.h"

static char name[] = "test-provider", sbd[] = "sbd";
#define LU STMF_LU_PROVIDER_TYPE
#define PORT STMF_PORT_PROVIDER_TYPE

static void arguments(void)
{
	char longest[256], empty[] = "", bytes[] = "\xff";
	nvlist_t *list = NULL, *out = NULL;
	uint64_t token = 7;

	memset(longest, 'p', sizeof (longest));
	longest[255] = '\0';
	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	CALL(stmfSetProviderData(NULL, list, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderData(name, NULL, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderData(name, list, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderData(name, list, 3), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderData(empty, list, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderData(bytes, list, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfSetProviderDataProt(longest, list, LU, &token), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderData(NULL, &out, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderData(name, NULL, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderData(name, &out, 3), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderDataProt(longest, &out, LU, &token), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderDataProt(empty, &out, LU, &token), STMF_ERROR_INVALID_ARG);
	CALL(stmfClearProviderData(NULL, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfClearProviderData(empty, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfClearProviderData(longest, LU), STMF_ERROR_INVALID_ARG);
	CALL(stmfClearProviderData(name, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderDataList(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetProviderDataProt(name, &out, LU, &token), STMF_ERROR_NOT_FOUND);
	CALL(stmfClearProviderData(name, LU), STMF_ERROR_NOT_FOUND);
	TRUE(out == NULL && token == 7);
	longest[254] = '\0';
	CALL(stmfSetProviderData(longest, list, PORT), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(longest, PORT), STMF_STATUS_SUCCESS);
	nvlist_free(list);
}

/* 1 if the key is in the list, which must be sorted by type, then name. */
static int listed(int type, const char *wanted)
{
	stmfProviderList *list = NULL;
	uint32_t i;
	int found = 0;

	CALL(stmfGetProviderDataList(&list), STMF_STATUS_SUCCESS);
	for (i = 0; i < list->cnt; i++) {
		stmfProvider *at = &list->provider[i];
		if (i > 0)
			TRUE(at[-1].providerType < at->providerType ||
			    (at[-1].providerType == at->providerType && strcmp(at[-1].name, at->name) < 0));
		found += at->providerType == type && strcmp(at->name, wanted) == 0;
	}
	stmfFreeMemory(list);
	return (found);
}

static void data(void)
{
	nvlist_t *list = NULL, *inner = NULL, *out = NULL, *nested = NULL;
	double real = 1.5, real_out = 0;
	int16_t shorts[3] = {1, -2, 3}, *shorts_out = NULL;
	uint64_t token = 0, stale;
	uint_t n = 0;
	char *text = NULL;
	int32_t number;

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	TRUE(nvlist_alloc(&inner, NV_UNIQUE_NAME, 0) == 0);
	nvlist_add_int32(inner, "number", 42);
	nvlist_add_nvlist(list, "inner", inner);
	nvlist_add_string(list, "text", "some text");
	nvlist_add_int16_array(list, "shorts", shorts, 3);
	nvlist_add_double(list, "real", real);
	nvlist_free(inner);

	token = 99;
	CALL(stmfSetProviderDataProt(name, list, LU, &token), STMF_ERROR_PROV_DATA_STALE);
	TRUE(token == 99);
	token = 0;
	CALL(stmfSetProviderDataProt(name, list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(token != 0);
	stale = 0;
	CALL(stmfSetProviderDataProt(name, list, LU, &stale), STMF_ERROR_PROV_DATA_STALE);
	stale = token;
	CALL(stmfSetProviderDataProt(name, list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(token != stale);
	CALL(stmfSetProviderDataProt(name, list, LU, &stale), STMF_ERROR_PROV_DATA_STALE);
	stale = 0;
	CALL(stmfGetProviderDataProt(name, &out, LU, &stale), STMF_STATUS_SUCCESS);
	TRUE(stale == token);
	TRUE(nvlist_lookup_string(out, "text", &text) == 0);
	TEXT(text, "some text");
	TRUE(nvlist_lookup_nvlist(out, "inner", &nested) == 0);
	TRUE(nvlist_lookup_int32(nested, "number", &number) == 0 && number == 42);
	TRUE(nvlist_lookup_int16_array(out, "shorts", &shorts_out, &n) == 0 && n == 3 && shorts_out[1] == -2);
	TRUE(nvlist_lookup_double(out, "real", &real_out) == 0 && real_out == real);
	nvlist_free(out);

	/* Name and type are the key. */
	TRUE(listed(LU, name) == 1 && listed(PORT, name) == 0);
	CALL(stmfGetProviderData(name, &out, PORT), STMF_ERROR_NOT_FOUND);
	CALL(stmfSetProviderData(name, list, PORT), STMF_STATUS_SUCCESS);
	TRUE(listed(LU, name) == 1 && listed(PORT, name) == 1);
	CALL(stmfClearProviderData(name, PORT), STMF_STATUS_SUCCESS);
	CALL(stmfGetProviderData(name, &out, LU), STMF_STATUS_SUCCESS);
	nvlist_free(out);
	CALL(stmfClearProviderData(name, LU), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(name, LU), STMF_ERROR_NOT_FOUND);
	TRUE(listed(LU, name) == 0);

	/* An old token does not fit by accident after a clear; an empty list is data. */
	stale = token;
	CALL(stmfSetProviderDataProt(name, list, LU, &token), STMF_ERROR_PROV_DATA_STALE);
	nvlist_free(list);
	TRUE(nvlist_alloc(&list, 0, 0) == 0);
	token = 0;
	CALL(stmfSetProviderDataProt(name, list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(token > stale);
	CALL(stmfGetProviderData(name, &out, LU), STMF_STATUS_SUCCESS);
	TRUE(nvlist_empty(out));
	nvlist_free(out);
	CALL(stmfClearProviderData(name, LU), STMF_STATUS_SUCCESS);
	nvlist_free(list);
}

static void lus(void)
{
	struct backing file;
	luResource hdl = NULL;
	nvlist_t *list = NULL;
	uint64_t token = 0, old;
	stmfGuid lu;
	char key[33], *text = NULL;
	unsigned i;
	int32_t number;

	backing_make(&file, 4 * MIB);
	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file.path), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, &lu), STMF_STATUS_SUCCESS);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
	for (i = 0; i < 16; i++)
		snprintf(key + 2 * i, 3, "%02x", lu.guid[i]);

	CALL(stmfGetProviderDataProt(sbd, &list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(nvlist_nvflag(list) == NV_UNIQUE_NAME);
	TRUE(nvlist_lookup_string(list, key, &text) == 0);
	TEXT(text, file.path);
	nvlist_add_int32(list, "mine", 42);
	nvlist_add_string(list, "600144f0ffffffff0000000000000009", "/nonexistent");
	CALL(stmfSetProviderDataProt(sbd, list, LU, &token), STMF_STATUS_SUCCESS);
	nvlist_free(list);

	old = token;
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfGetProviderDataProt(sbd, &list, LU, &token), STMF_STATUS_SUCCESS);
	TRUE(token > old);
	TRUE(nvlist_lookup_string(list, key, &text) != 0);
	TRUE(nvlist_lookup_int32(list, "mine", &number) == 0 && number == 42);
	TRUE(nvlist_lookup_string(list, "600144f0ffffffff0000000000000009", &text) == 0);
	CALL(stmfSetProviderDataProt(sbd, list, LU, &old), STMF_ERROR_PROV_DATA_STALE);
	nvlist_free(list);
	CALL(stmfClearProviderData(sbd, LU), STMF_STATUS_SUCCESS);
	CALL(stmfGetProviderData(sbd, &list, LU), STMF_ERROR_NOT_FOUND);
	backing_remove(&file);
}

static void providers(void)
{
	stmfLogicalUnitProviderProperties lu;
	stmfLocalPortProviderProperties port;
	stmfProviderName bad = "nobody", full;
	stmfProviderList *list = NULL;
	uint32_t i;

	CALL(stmfGetLogicalUnitProviderList(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLocalPortProviderList(NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProviderProperties(NULL, &lu), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProviderProperties(&bad, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLogicalUnitProviderProperties(&bad, &lu), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetLocalPortProviderProperties(NULL, &port), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLocalPortProviderProperties(&bad, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetLocalPortProviderProperties(&bad, &port), STMF_ERROR_NOT_FOUND);
	memset(full, 'x', sizeof (full));
	CALL(stmfGetLogicalUnitProviderProperties(&full, &lu), STMF_ERROR_INVALID_ARG);

	CALL(stmfGetLogicalUnitProviderList(&list), STMF_STATUS_SUCCESS);
	TRUE(list->cnt == 1 && list->provider[0].providerType == LU);
	TEXT(list->provider[0].name, "sbd");
	memset(&lu, 0xa5, sizeof (lu));
	CALL(stmfGetLogicalUnitProviderProperties(&list->provider[0].name, &lu), STMF_STATUS_SUCCESS);
	TEXT(lu.providerName, "sbd");
	TRUE(lu.instance == 0 && lu.status == 0 && lu.rsvd[63] == 0 && lu.providerName[4095] == 0);
	stmfFreeMemory(list);

	CALL(stmfGetLocalPortProviderList(&list), STMF_STATUS_SUCCESS);
	TRUE(list->cnt >= 1);
	for (i = 0; i < list->cnt; i++) {
		TRUE(list->provider[i].providerType == PORT);
		memset(&port, 0xa5, sizeof (port));
		CALL(stmfGetLocalPortProviderProperties(&list->provider[i].name, &port), STMF_STATUS_SUCCESS);
		TEXT(port.providerName, list->provider[i].name);
		TRUE(port.instance == 0 && port.status == 0);
	}
	stmfFreeMemory(list);
}

int main(void)
{
	arguments();
	data();
	lus();
	providers();
	return (check_end());
}
