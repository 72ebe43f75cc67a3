/* Groups and view entries. Works on names and GUIDs of its own, and removes them. */
#include <libstmf.h>
static const char *real_name(const char *call);
#define CHECK_NAME(call) real_name(call)
#include "check.h"

static stmfGuid lu1 = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static stmfGuid lu2 = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
static stmfGuid lu3 = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3}};

/* Names as callers pass them: literals, shorter than the type. */
#define NAME(text) ((stmfGroupName *)(uintptr_t)(text))

static stmfDevid devid(const char *text)
{
	stmfDevid id;

	memset(&id, 0, sizeof (id));
	id.identLength = (uint8_t)strlen(text);
	memcpy(id.ident, text, strlen(text));
	return (id);
}

static int group_listed(int (*get)(stmfGroupList **), const char *name)
{
	stmfGroupList *list = NULL;
	uint32_t i;
	int place = -1;

	CALL(get(&list), STMF_STATUS_SUCCESS);
	for (i = 0; i < list->cnt; i++)
		if (strcmp(list->name[i], name) == 0)
			place = (int)i;
	stmfFreeMemory(list);
	return (place);
}

struct side {
	int (*create)(stmfGroupName *);
	int (*delete_)(stmfGroupName *);
	int (*list)(stmfGroupList **);
	int (*members)(stmfGroupName *, stmfGroupProperties **);
	int (*add)(stmfGroupName *, stmfDevid *);
	int (*remove)(stmfGroupName *, stmfDevid *);
};

/* Of the functions of a side, the names: check.h notes which have returned what. */
static const struct {
	const char *field, *hosts, *targets;
} names[] = {
	{"side->create(", "stmfCreateHostGroup", "stmfCreateTargetGroup"},
	{"side->delete_(", "stmfDeleteHostGroup", "stmfDeleteTargetGroup"},
	{"side->list(", "stmfGetHostGroupList", "stmfGetTargetGroupList"},
	{"get(", "stmfGetHostGroupList", "stmfGetTargetGroupList"},
	{"side->members(", "stmfGetHostGroupMembers", "stmfGetTargetGroupMembers"},
	{"side->add(", "stmfAddToHostGroup", "stmfAddToTargetGroup"},
	{"side->remove(", "stmfRemoveFromHostGroup", "stmfRemoveFromTargetGroup"},
};
static int targets_now;

static const char *real_name(const char *call)
{
	size_t i;

	for (i = 0; i < sizeof (names) / sizeof (names[0]); i++)
		if (strncmp(call, names[i].field, strlen(names[i].field)) == 0)
			return (targets_now ? names[i].targets : names[i].hosts);
	return (call);
}

static void groups(const struct side *side)
{
	static const char *const bad[] = {"", "*", "*x", "\xff\xfe"};
	char full[256], limit[256];
	stmfDevid a = devid("iqn.2026-01.test:a"), b = devid("iqn.2026-01.test:b"), wrong;
	stmfGroupProperties *members = NULL;
	size_t i;

	memset(full, 'x', sizeof (full));
	memset(limit, 'y', sizeof (limit));
	limit[255] = '\0';

	CALL(side->create(NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->delete_(NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->list(NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->members(NULL, &members), STMF_ERROR_INVALID_ARG);
	CALL(side->members(NAME("c-test"), NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->add(NULL, &a), STMF_ERROR_INVALID_ARG);
	CALL(side->add(NAME("c-test"), NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->remove(NULL, &a), STMF_ERROR_INVALID_ARG);
	CALL(side->remove(NAME("c-test"), NULL), STMF_ERROR_INVALID_ARG);
	CALL(side->create(NAME(full)), STMF_ERROR_INVALID_ARG);
	CALL(side->delete_(NAME(full)), STMF_ERROR_INVALID_ARG);
	CALL(side->members(NAME(full), &members), STMF_ERROR_INVALID_ARG);
	CALL(side->add(NAME(full), &a), STMF_ERROR_INVALID_ARG);
	for (i = 0; i < sizeof (bad) / sizeof (bad[0]); i++) {
		CALL(side->create(NAME(bad[i])), STMF_ERROR_INVALID_ARG);
		CALL(side->delete_(NAME(bad[i])), STMF_ERROR_INVALID_ARG);
		CALL(side->members(NAME(bad[i]), &members), STMF_ERROR_INVALID_ARG);
	}
	memset(&wrong, 0, sizeof (wrong));
	CALL(side->add(NAME("c-test"), &wrong), STMF_ERROR_INVALID_ARG);
	wrong = devid("iqn.x");
	wrong.ident[2] = 0;
	CALL(side->add(NAME("c-test"), &wrong), STMF_ERROR_INVALID_ARG);

	CALL(side->delete_(NAME("c-test")), STMF_ERROR_NOT_FOUND);
	CALL(side->members(NAME("c-test"), &members), STMF_ERROR_NOT_FOUND);
	CALL(side->add(NAME("c-test"), &a), STMF_ERROR_GROUP_NOT_FOUND);
	CALL(side->remove(NAME("c-test"), &a), STMF_ERROR_GROUP_NOT_FOUND);
	TRUE(members == NULL);

	CALL(side->create(NAME("c-test")), STMF_STATUS_SUCCESS);
	CALL(side->create(NAME("c-test")), STMF_ERROR_EXISTS);
	CALL(side->create(NAME("C-test")), STMF_STATUS_SUCCESS);
	CALL(side->create(NAME(limit)), STMF_STATUS_SUCCESS);
	TRUE(group_listed(side->list, "c-test") >= 0);
	TRUE(group_listed(side->list, "C-test") == group_listed(side->list, "c-test") + 1);
	TRUE(group_listed(side->list, limit) == group_listed(side->list, "c-test") + 2);
	CALL(side->members(NAME("c-test"), &members), STMF_STATUS_SUCCESS);
	TRUE(members->cnt == 0 && members->name[0].identLength == 0);
	stmfFreeMemory(members);

	CALL(side->add(NAME("c-test"), &b), STMF_STATUS_SUCCESS);
	CALL(side->add(NAME("c-test"), &a), STMF_STATUS_SUCCESS);
	CALL(side->add(NAME("c-test"), &a), STMF_ERROR_EXISTS);
	CALL(side->add(NAME("C-test"), &a), STMF_ERROR_EXISTS);
	CALL(side->members(NAME("c-test"), &members), STMF_STATUS_SUCCESS);
	TRUE(members->cnt == 2);
	TRUE(memcmp(&members->name[0], &b, sizeof (b)) == 0);
	TRUE(memcmp(&members->name[1], &a, sizeof (a)) == 0);
	free(members);
	CALL(side->remove(NAME("C-test"), &a), STMF_ERROR_MEMBER_NOT_FOUND);
	CALL(side->remove(NAME("c-test"), &b), STMF_STATUS_SUCCESS);
	CALL(side->remove(NAME("c-test"), &b), STMF_ERROR_MEMBER_NOT_FOUND);

	CALL(side->delete_(NAME("c-test")), STMF_STATUS_SUCCESS);
	CALL(side->delete_(NAME("c-test")), STMF_ERROR_NOT_FOUND);
	CALL(side->delete_(NAME("C-test")), STMF_STATUS_SUCCESS);
	CALL(side->delete_(NAME(limit)), STMF_STATUS_SUCCESS);
	TRUE(group_listed(side->list, "c-test") == -1);
}

/* Only what the call may read is initialised. */
static stmfViewEntry request(const char *host, const char *target, int lun)
{
	stmfViewEntry ve;

	memset(&ve, 0xa5, sizeof (ve));
	ve.allHosts = host == NULL ? B_TRUE : B_FALSE;
	ve.allTargets = target == NULL ? B_TRUE : B_FALSE;
	ve.luNbrValid = lun < 0 ? B_FALSE : B_TRUE;
	if (host != NULL)
		strcpy(ve.hostGroup, host);
	if (target != NULL)
		strcpy(ve.targetGroup, target);
	if (lun >= 0) {
		ve.luNbr[0] = (uchar_t)(lun >> 8);
		ve.luNbr[1] = (uchar_t)lun;
	}
	return (ve);
}

static int lun_of(const stmfViewEntry *ve)
{
	static const uchar_t zeros[6];

	TRUE(memcmp(&ve->luNbr[2], zeros, sizeof (zeros)) == 0);
	return (ve->luNbr[0] << 8 | ve->luNbr[1]);
}

static int add(stmfGuid *lu, const char *host, const char *target, int lun, stmfViewEntry *out)
{
	*out = request(host, target, lun);
	int status = stmfAddViewEntry(lu, out);

	check_covers("stmfAddViewEntry", status);
	return (status);
}

static void views(void)
{
	stmfViewEntry ve, again;
	stmfViewEntryList *list = NULL;
	stmfLogicalUnitProperties props;
	int lun;

	CALL(stmfCreateHostGroup(NAME("c-hosts")), STMF_STATUS_SUCCESS);
	CALL(stmfCreateHostGroup(NAME("c-others")), STMF_STATUS_SUCCESS);
	CALL(stmfCreateTargetGroup(NAME("c-targets")), STMF_STATUS_SUCCESS);

	CALL(stmfAddViewEntry(NULL, &ve), STMF_ERROR_INVALID_ARG);
	CALL(stmfAddViewEntry(&lu1, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfRemoveViewEntry(NULL, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfRemoveViewEntry(&lu1, 0), STMF_ERROR_NOT_FOUND);
	CALL(stmfGetViewEntryList(NULL, &list), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetViewEntryList(&lu1, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetViewEntryList(&lu1, &list), STMF_STATUS_SUCCESS);
	TRUE(list->cnt == 0);
	stmfFreeMemory(list);
	list = NULL;
	CALL(stmfGetViewEntryListNotFound(&lu1, &list), STMF_ERROR_NOT_FOUND);
	TRUE(list == NULL);
	CALL(stmfGetLogicalUnitProperties(&lu1, &props), STMF_ERROR_NOT_FOUND);

	CALL(add(&lu1, "c-nobody", NULL, -1, &ve), STMF_ERROR_INVALID_HG);
	TRUE(ve.veIndexValid == B_FALSE);
	CALL(add(&lu1, "", NULL, -1, &ve), STMF_ERROR_INVALID_HG);
	CALL(add(&lu1, "*", NULL, -1, &ve), STMF_ERROR_INVALID_HG);
	CALL(add(&lu1, NULL, "c-nobody", -1, &ve), STMF_ERROR_INVALID_TG);
	CALL(add(&lu1, NULL, "*", -1, &ve), STMF_ERROR_INVALID_TG);
	CALL(add(&lu1, "c-nobody", "c-nobody", -1, &ve), STMF_ERROR_INVALID_HG);
	ve = request("x", NULL, -1);
	memset(ve.hostGroup, 'x', sizeof (ve.hostGroup));
	CALL(stmfAddViewEntry(&lu1, &ve), STMF_ERROR_INVALID_HG);
	CALL(add(&lu1, NULL, NULL, 0x4000, &ve), STMF_ERROR_INVALID_ARG);
	CALL(add(&lu1, NULL, NULL, 0xc001, &ve), STMF_ERROR_INVALID_ARG);

	/* Bytes 2 to 7 of the LUN and the unused group names are full of rubbish. */
	CALL(add(&lu1, "c-hosts", "c-targets", 0x3fff, &ve), STMF_STATUS_SUCCESS);
	TRUE(ve.veIndexValid == B_TRUE && ve.veIndex == 0);
	TRUE(ve.luNbrValid == B_TRUE && lun_of(&ve) == 0x3fff);
	CALL(add(&lu1, "c-hosts", "c-targets", 5, &again), STMF_ERROR_VE_CONFLICT);
	CALL(add(&lu1, NULL, NULL, -1, &again), STMF_ERROR_VE_CONFLICT);
	CALL(add(&lu2, "c-hosts", NULL, 0x3fff, &again), STMF_ERROR_LUN_IN_USE);
	CALL(add(&lu2, "c-others", NULL, 0x3fff, &again), STMF_STATUS_SUCCESS);
	TRUE(again.veIndex == 0);
	/* Another host group does not overlap, so this entry is no conflict. */
	CALL(add(&lu1, "c-others", "c-targets", 0x100, &again), STMF_STATUS_SUCCESS);
	TRUE(again.veIndex == 1 && lun_of(&again) == 0x100);
	CALL(add(&lu3, "c-hosts", "c-targets", -1, &again), STMF_STATUS_SUCCESS);
	TRUE(again.luNbrValid == B_TRUE);
	lun = lun_of(&again);
	TRUE(lun >= 0 && lun < 0x3fff);

	CALL(stmfGetLogicalUnitProperties(&lu1, &props), STMF_STATUS_SUCCESS);
	TRUE(props.status == STMF_LOGICAL_UNIT_UNREGISTERED);
	TRUE(memcmp(&props.luid, &lu1, sizeof (lu1)) == 0 && props.providerName[0] == '\0');
	CALL(stmfDeleteLu(&lu1), STMF_ERROR_NOT_FOUND);
	CALL(stmfOnlineLogicalUnit(&lu1), STMF_ERROR_NOT_FOUND);

	CALL(stmfGetViewEntryList(&lu1, &list), STMF_STATUS_SUCCESS);
	TRUE(list->cnt == 2);
	TRUE(list->ve[0].veIndex == 0 && list->ve[1].veIndex == 1);
	TRUE(list->ve[0].veIndexValid == B_TRUE && list->ve[0].luNbrValid == B_TRUE);
	TRUE(list->ve[0].allHosts == B_FALSE && list->ve[0].allTargets == B_FALSE);
	TEXT(list->ve[0].hostGroup, "c-hosts");
	TEXT(list->ve[0].targetGroup, "c-targets");
	TEXT(list->ve[1].hostGroup, "c-others");
	stmfFreeMemory(list);
	CALL(stmfGetViewEntryList(&lu2, &list), STMF_STATUS_SUCCESS);
	TRUE(list->cnt == 1 && list->ve[0].allTargets == B_TRUE && list->ve[0].targetGroup[0] == '\0');
	stmfFreeMemory(list);
	CALL(stmfGetViewEntryListNotFound(&lu2, &list), STMF_STATUS_SUCCESS);
	stmfFreeMemory(list);

	CALL(stmfDeleteHostGroup(NAME("c-hosts")), STMF_ERROR_GROUP_IN_USE);
	CALL(stmfDeleteTargetGroup(NAME("c-targets")), STMF_ERROR_GROUP_IN_USE);
	CALL(stmfRemoveViewEntry(&lu1, 7), STMF_ERROR_NOT_FOUND);
	CALL(stmfRemoveViewEntry(&lu1, 0), STMF_STATUS_SUCCESS);
	CALL(stmfRemoveViewEntry(&lu1, 0), STMF_ERROR_NOT_FOUND);
	/* The other entry keeps its index; the smallest free one is given out again. */
	CALL(add(&lu1, "c-hosts", NULL, -1, &ve), STMF_STATUS_SUCCESS);
	TRUE(ve.veIndex == 0);
	CALL(stmfRemoveViewEntry(&lu1, 0), STMF_STATUS_SUCCESS);
	CALL(stmfRemoveViewEntry(&lu1, 1), STMF_STATUS_SUCCESS);
	CALL(stmfRemoveViewEntry(&lu2, 0), STMF_STATUS_SUCCESS);
	CALL(stmfRemoveViewEntry(&lu3, again.veIndex), STMF_STATUS_SUCCESS);
	CALL(stmfGetLogicalUnitProperties(&lu1, &props), STMF_ERROR_NOT_FOUND);
	CALL(stmfDeleteHostGroup(NAME("c-hosts")), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteHostGroup(NAME("c-others")), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteTargetGroup(NAME("c-targets")), STMF_STATUS_SUCCESS);
}

int main(void)
{
	static const struct side hosts = {stmfCreateHostGroup, stmfDeleteHostGroup, stmfGetHostGroupList,
	    stmfGetHostGroupMembers, stmfAddToHostGroup, stmfRemoveFromHostGroup};
	static const struct side targets = {stmfCreateTargetGroup, stmfDeleteTargetGroup, stmfGetTargetGroupList,
	    stmfGetTargetGroupMembers, stmfAddToTargetGroup, stmfRemoveFromTargetGroup};

	groups(&hosts);
	targets_now = 1;
	groups(&targets);
	views();
	return (check_end());
}
