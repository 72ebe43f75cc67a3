/* Makes calls of every kind, one after the other, until it is killed. "caller NUMBER FILE": its objects have the number, its LU the file. */
#include <libstmf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	static char large[64 * 1024];
	char name[32];
	stmfGroupName group = "";
	stmfLogicalUnitProperties props;
	stmfProviderList *providers = NULL;
	stmfGroupList *groups = NULL;
	stmfGuidList *lus = NULL;
	nvlist_t *data = NULL, *got;
	luResource hdl = NULL;
	stmfDevid member;
	stmfViewEntry ve;
	stmfGuid lu;

	if (argc != 3 || nvlist_alloc(&data, NV_UNIQUE_NAME, 0) != 0)
		return (EXIT_FAILURE);
	memset(large, 'x', sizeof (large) - 1);
	nvlist_add_string(data, "large", large);
	snprintf(name, sizeof (name), "caller-%s", argv[1]);
	memcpy(group, name, strlen(name));
	memset(&member, 0, sizeof (member));
	member.identLength = (uint8_t)strlen(name);
	memcpy(member.ident, name, strlen(name));
	stmfCreateLuResource(STMF_DISK, &hdl);
	stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, argv[2]);
	/* What the one before left behind makes some of them fail, which does not matter here. */
	for (;;) {
		stmfCreateHostGroup(&group);
		stmfAddToHostGroup(&group, &member);
		stmfSetProviderData(name, data, STMF_PORT_PROVIDER_TYPE);
		if (stmfImportLu(STMF_DISK, argv[2], &lu) != STMF_STATUS_SUCCESS)
			stmfCreateLu(hdl, &lu);
		memset(&ve, 0, sizeof (ve));
		ve.allTargets = B_TRUE;
		memcpy(ve.hostGroup, group, sizeof (group));
		stmfAddViewEntry(&lu, &ve);
		if (stmfGetLogicalUnitList(&lus) == STMF_STATUS_SUCCESS)
			stmfFreeMemory(lus);
		if (stmfGetHostGroupList(&groups) == STMF_STATUS_SUCCESS)
			stmfFreeMemory(groups);
		if (stmfGetProviderDataList(&providers) == STMF_STATUS_SUCCESS)
			stmfFreeMemory(providers);
		if (stmfGetProviderData(name, &got, STMF_PORT_PROVIDER_TYPE) == STMF_STATUS_SUCCESS)
			nvlist_free(got);
		stmfGetLogicalUnitProperties(&lu, &props);
		stmfxWaitLogicalUnit(&lu, STMF_LOGICAL_UNIT_OFFLINE, 5);
		stmfLuStandby(&lu);
		stmfImportLu(STMF_DISK, argv[2], &lu);
		stmfRemoveViewEntry(&lu, 0);
		stmfDeleteLu(&lu);
		stmfClearProviderData(name, STMF_PORT_PROVIDER_TYPE);
		stmfDeleteHostGroup(&group);
	}
}
