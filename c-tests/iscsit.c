/*
 * Changes the configuration of the iSCSI target provider as any program may: as provider data.
 *
 *	iscsit alias NAME TEXT         gives a target, which is made if there is none, an alias
 *	iscsit auth NAME METHOD        ... a method of authentication
 *	iscsit bind NAME GROUP PORTAL  makes a portal group and binds the target to it alone
 *	iscsit chap NAME SECRET        gives an initiator a secret in base64
 *	iscsit remove NAME             removes a target
 *	iscsit number NAME             gives a target an alias that is none
 *	iscsit stale NAME              removes a target with a token that is not current
 *	iscsit clear                   clears the data
 *
 * Prints the status.
 */
#include <libstmf.h>
#include <stdio.h>
#include <string.h>

static char provider[] = "iscsit";

/* The list of this name within another; made if there is none. */
static nvlist_t *within(nvlist_t *list, const char *name)
{
	nvlist_t *inner = NULL;

	if (nvlist_lookup_nvlist(list, name, &inner) == 0)
		return (inner);
	if (nvlist_alloc(&inner, NV_UNIQUE_NAME, 0) != 0 || nvlist_add_nvlist(list, name, inner) != 0)
		return (NULL);
	nvlist_free(inner);
	return (nvlist_lookup_nvlist(list, name, &inner) == 0 ? inner : NULL);
}

int main(int argc, char **argv)
{
	nvlist_t *list = NULL, *targets, *target, *properties, *group;
	uint64_t token = 0;
	int status;

	if (argc == 2 && strcmp(argv[1], "clear") == 0) {
		printf("0x%04x\n", (unsigned)stmfClearProviderData(provider, STMF_PORT_PROVIDER_TYPE));
		return (0);
	}
	if (argc < 3)
		return (2);
	status = stmfGetProviderDataProt(provider, &list, STMF_PORT_PROVIDER_TYPE, &token);
	if (status == STMF_ERROR_NOT_FOUND) {
		if (nvlist_alloc(&list, NV_UNIQUE_NAME, 0) != 0)
			return (2);
	} else if (status != STMF_STATUS_SUCCESS) {
		return (2);
	}
	targets = within(list, "targetList");
	if (strcmp(argv[1], "remove") == 0 || strcmp(argv[1], "stale") == 0) {
		if (nvlist_remove_all(targets, argv[2]) != 0)
			return (2);
		token += strcmp(argv[1], "stale") == 0;
	} else if (strcmp(argv[1], "chap") == 0) {
		properties = within(within(within(list, "iniList"), argv[2]), "properties");
		nvlist_add_string(properties, "chapsecret", argv[3]);
	} else {
		target = within(targets, argv[2]);
		properties = within(target, "properties");
		if (strcmp(argv[1], "bind") == 0) {
			const char *portals[1];

			portals[0] = argv[4];
			nvlist_add_string_array(within(within(list, "tpgList"), argv[3]), "portalList",
			    (void *)portals, 1);
			group = within(within(target, "tpgtList"), argv[3]);
			nvlist_add_uint16(group, "tag", 7);
		} else if (strcmp(argv[1], "number") == 0) {
			nvlist_add_uint64(properties, "alias", 1);
		} else {
			nvlist_add_string(properties, argv[1], argv[3]);
		}
	}
	status = stmfSetProviderDataProt(provider, list, STMF_PORT_PROVIDER_TYPE, &token);
	printf("0x%04x\n", (unsigned)status);
	nvlist_free(list);
	return (0);
}
