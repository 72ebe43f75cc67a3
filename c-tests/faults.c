/*
 * What the functions return when the store or a file does not take what they write, and that nothing of the call is left:
 * the same call succeeds as soon as the fault is gone. The environment names the store's file (STMF_TEST_STORE) and the process
 * that has it (STMF_TEST_PID), which is this one for a framework of its own.
 */
#include <libstmf.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "backing.h"
#include "check.h"

#define NAME(text) ((stmfGroupName *)(uintptr_t)(text))

static stmfGuid viewed = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0xfa, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static stmfGuid other = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0xfa, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
static char key[] = "faults", second_key[] = "faults-2";
static struct backing kept, made, given, removed;
static stmfGuid lu_kept, lu_made, lu_given, lu_removed;

/* ---- The store: a trigger on each of its tables refuses changes ---- */

static void sql(const char *statements)
{
	char command[8192];

	snprintf(command, sizeof (command), "sqlite3 -cmd '.timeout 10000' '%s' \"%s\"", getenv("STMF_TEST_STORE"), statements);
	TRUE(system(command) == 0);
}

static void store_refuses(int refuses)
{
	static const char *const tables[] = {"lu", "view", "grp", "member", "provider", "setting", "token"};
	static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};
	char statements[4096] = "";
	size_t i, j, used = 0;

	for (i = 0; i < sizeof (tables) / sizeof (tables[0]); i++)
		for (j = 0; j < sizeof (events) / sizeof (events[0]); j++)
			used += (size_t)snprintf(statements + used, sizeof (statements) - used, refuses ?
			    "CREATE TRIGGER no_%s_%s BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'no'); END;" :
			    "DROP TRIGGER no_%s_%s;", tables[i], events[j], events[j], tables[i]);
	sql(statements);
}

/* ---- Files: nothing can be written any more, nothing can be flushed ---- */

static void files_take(int writes)
{
	const struct rlimit limit = {writes ? RLIM_INFINITY : 0, RLIM_INFINITY};

	TRUE(prlimit(atoi(getenv("STMF_TEST_PID")), RLIMIT_FSIZE, &limit, NULL) == 0);
}

/* What flushing this file does: it works, fails, or waits at the gate. Other files, those of the store, are not concerned. */
static struct stat flushed;
static volatile enum { FLUSH_WORKS, FLUSH_FAILS, FLUSH_WAITS } flush_does;
static sem_t at_gate, gate;

/* In place of libc's, for a framework in this process. */
int fdatasync(int fd)
{
	struct stat file;

	if (fstat(fd, &file) == 0 && file.st_dev == flushed.st_dev && file.st_ino == flushed.st_ino) {
		if (flush_does == FLUSH_WAITS) {
			sem_post(&at_gate);
			while (sem_wait(&gate) != 0)
				;
		}
		if (flush_does == FLUSH_FAILS) {
			errno = EIO;
			return (-1);
		}
	}
	return (fsync(fd));
}

/* ---- What writes the store ---- */

static void create(struct backing *file, stmfGuid *lu, int wanted)
{
	luResource hdl = NULL;

	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file->path), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, lu), wanted);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void groups(int wanted)
{
	stmfDevid member = {9, "iqn.there"}, stranger = {7, "iqn.new"};

	CALL(stmfCreateHostGroup(NAME("new")), wanted);
	CALL(stmfCreateTargetGroup(NAME("new")), wanted);
	CALL(stmfAddToHostGroup(NAME("there"), &stranger), wanted);
	CALL(stmfAddToTargetGroup(NAME("there"), &stranger), wanted);
	CALL(stmfRemoveFromHostGroup(NAME("there"), &member), wanted);
	CALL(stmfRemoveFromTargetGroup(NAME("there"), &member), wanted);
	CALL(stmfDeleteHostGroup(NAME("gone")), wanted);
	CALL(stmfDeleteTargetGroup(NAME("gone")), wanted);
}

static void views(int wanted)
{
	stmfViewEntry ve;

	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	CALL(stmfAddViewEntry(&other, &ve), wanted);
	TRUE(ve.veIndexValid == (wanted == STMF_STATUS_SUCCESS ? B_TRUE : B_FALSE));
	CALL(stmfRemoveViewEntry(&viewed, 0), wanted);
}

static void settings(int wanted)
{
	char offline[] = "offline", text[64];
	size_t length = sizeof (text);
	uint8_t method = 0;

	CALL(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, offline), wanted);
	CALL(stmfGetStmfProp(STMF_DEFAULT_LU_STATE, text, &length), STMF_STATUS_SUCCESS);
	TEXT(text, wanted == STMF_STATUS_SUCCESS ? "offline" : "online");
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, "http://new"), wanted);
	CALL(stmfGetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, text, &length), STMF_STATUS_SUCCESS);
	TEXT(text, wanted == STMF_STATUS_SUCCESS ? "http://new" : "http://old");
	CALL(stmfSetPersistMethod(STMF_PERSIST_SMF, B_TRUE), wanted == STMF_STATUS_SUCCESS ? wanted : STMF_ERROR_PERSIST_TYPE);
	CALL(stmfGetPersistMethod(&method, B_TRUE), STMF_STATUS_SUCCESS);
	TRUE(method == STMF_PERSIST_SMF);
	CALL(stmfSetAluaState(B_TRUE, 1), wanted);
	CALL(stmfSetAluaState32(B_TRUE, 1), wanted);
}

static void providers(int wanted)
{
	nvlist_t *list = NULL;
	uint64_t token = 0;

	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	CALL(stmfSetProviderData(key, list, STMF_PORT_PROVIDER_TYPE), wanted);
	CALL(stmfSetProviderDataProt(second_key, list, STMF_LU_PROVIDER_TYPE, &token), wanted);
	TRUE((token == 0) == (wanted != STMF_STATUS_SUCCESS));
	CALL(stmfClearProviderData(key, STMF_LU_PROVIDER_TYPE), wanted);
	nvlist_free(list);
}

static void lus(int wanted)
{
	stmfGuid imported;

	create(&made, &lu_made, wanted);
	CALL(stmfImportLu(STMF_DISK, removed.path, &imported), wanted);
	CALL(stmfDeleteLu(&lu_kept), wanted);
	CALL(stmfLuStandby(&lu_given), wanted);
}

static void store(int wanted)
{
	groups(wanted);
	views(wanted);
	settings(wanted);
	providers(wanted);
	lus(wanted);
}

/* What the calls need. */
static void prepare(void)
{
	stmfDevid member = {9, "iqn.there"};
	nvlist_t *list = NULL;
	stmfViewEntry ve;

	CALL(stmfCreateHostGroup(NAME("there")), STMF_STATUS_SUCCESS);
	CALL(stmfCreateTargetGroup(NAME("there")), STMF_STATUS_SUCCESS);
	CALL(stmfCreateHostGroup(NAME("gone")), STMF_STATUS_SUCCESS);
	CALL(stmfCreateTargetGroup(NAME("gone")), STMF_STATUS_SUCCESS);
	CALL(stmfAddToHostGroup(NAME("there"), &member), STMF_STATUS_SUCCESS);
	CALL(stmfAddToTargetGroup(NAME("there"), &member), STMF_STATUS_SUCCESS);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, "http://old"), STMF_STATUS_SUCCESS);
	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	CALL(stmfAddViewEntry(&viewed, &ve), STMF_STATUS_SUCCESS);
	TRUE(nvlist_alloc(&list, NV_UNIQUE_NAME, 0) == 0);
	CALL(stmfSetProviderData(key, list, STMF_LU_PROVIDER_TYPE), STMF_STATUS_SUCCESS);
	nvlist_free(list);
	backing_make(&kept, 2 * MIB);
	backing_make(&made, 2 * MIB);
	backing_make(&given, 2 * MIB);
	backing_make(&removed, 2 * MIB);
	create(&kept, &lu_kept, STMF_STATUS_SUCCESS);
	create(&given, &lu_given, STMF_STATUS_SUCCESS);
	create(&removed, &lu_removed, STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu_removed), STMF_STATUS_SUCCESS);
}

/* So that the program can run again. */
static void clean_up(void)
{
	char online[] = "online";

	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu_made), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu_removed), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(key, STMF_PORT_PROVIDER_TYPE), STMF_STATUS_SUCCESS);
	CALL(stmfClearProviderData(second_key, STMF_LU_PROVIDER_TYPE), STMF_STATUS_SUCCESS);
	CALL(stmfRemoveViewEntry(&other, 0), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteHostGroup(NAME("there")), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteTargetGroup(NAME("there")), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteHostGroup(NAME("new")), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteTargetGroup(NAME("new")), STMF_STATUS_SUCCESS);
	CALL(stmfSetStmfProp(STMF_DEFAULT_LU_STATE, online), STMF_STATUS_SUCCESS);
	CALL(stmfSetGlobalLuProp(STMF_DISK, STMF_LU_PROP_MGMT_URL, ""), STMF_STATUS_SUCCESS);
	backing_remove(&kept);
	backing_remove(&made);
	backing_remove(&given);
	backing_remove(&removed);
}

/* The disk is full, or the file system read-only. */
static void metadata(void)
{
	struct backing file;
	stmfGuid lu;
	int status;

	backing_make(&file, 2 * MIB);
	files_take(0);
	create(&file, &lu, STMF_ERROR_META_CREATION);
	files_take(1);
	create(&file, &lu, STMF_STATUS_SUCCESS);
	files_take(0);
	status = stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x");
	files_take(1);
	check_status(__LINE__, "stmfModifyLu", status, STMF_ERROR_META_CREATION);
	files_take(0);
	status = stmfModifyLuByFname(STMF_DISK, file.path, STMF_LU_PROP_ALIAS, "x");
	files_take(1);
	check_status(__LINE__, "stmfModifyLuByFname", status, STMF_ERROR_META_CREATION);
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_ALIAS, "x"), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	backing_remove(&file);
}

static void flushes(void)
{
	struct backing file;
	stmfGuid lu;

	backing_make(&file, 2 * MIB);
	create(&file, &lu, STMF_STATUS_SUCCESS);
	TRUE(stat(file.path, &flushed) == 0);
	flush_does = FLUSH_FAILS;
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_WRITE_CACHE_DISABLE, "true"), STMF_ERROR_WRITE_CACHE_SET);
	CALL(stmfModifyLuByFname(STMF_DISK, file.path, STMF_LU_PROP_WRITE_CACHE_DISABLE, "true"), STMF_ERROR_WRITE_CACHE_SET);
	CALL(stmfLuStandby(&lu), STMF_STATUS_ERROR);
	flush_does = FLUSH_WORKS;
	/* What the kernel lost then, it does not tell again: the LU stays in doubt. Who deletes it, having been told, means it. */
	CALL(stmfModifyLu(&lu, STMF_LU_PROP_WRITE_CACHE_DISABLE, "true"), STMF_ERROR_WRITE_CACHE_SET);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_ERROR);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	backing_remove(&file);
}

/* ---- One call has an LU, others want it ---- */

static struct backing held_file;
static stmfGuid held_lu;

static int hold_standby(void) { return (stmfLuStandby(&held_lu)); }
static int hold_stand_down(void) { return (stmfxLuStandDown(&held_lu, 10)); }
static int hold_delete(void) { return (stmfDeleteLu(&held_lu)); }
static int hold_import(void) { return (stmfImportLu(STMF_DISK, held_file.path, NULL)); }
static int hold_modify(void) { return (stmfModifyLu(&held_lu, STMF_LU_PROP_ALIAS, "x")); }
static int hold_modify_file(void) { return (stmfModifyLuByFname(STMF_DISK, held_file.path, STMF_LU_PROP_ALIAS, "x")); }

static struct wish {
	const char *name;
	int (*call)(void);
	int status;
} wishes[] = {
	{"stmfLuStandby", hold_standby, 0}, {"stmfDeleteLu", hold_delete, 0}, {"stmfImportLu", hold_import, 0},
	{"stmfModifyLu", hold_modify, 0}, {"stmfModifyLuByFname", hold_modify_file, 0}, {"stmfxLuStandDown", hold_stand_down, 0},
};
#define WISHES (sizeof (wishes) / sizeof (wishes[0]))

static void *wish(void *argument)
{
	struct wish *made = argument;

	made->status = made->call();
	return (NULL);
}

static void held(void)
{
	struct wish holder = {"stmfLuStandby", hold_standby, -1};
	luResource hdl = NULL;
	char access[2];
	size_t length = sizeof (access);
	pthread_t holds, wants[WISHES];
	size_t i;

	backing_make(&held_file, 2 * MIB);
	create(&held_file, &held_lu, STMF_STATUS_SUCCESS);
	TRUE(stat(held_file.path, &flushed) == 0 && sem_init(&at_gate, 0, 0) == 0 && sem_init(&gate, 0, 0) == 0);
	flush_does = FLUSH_WAITS;
	TRUE(pthread_create(&holds, NULL, wish, &holder) == 0 && sem_wait(&at_gate) == 0);
	flush_does = FLUSH_WORKS;
	/* Who only asks is not kept waiting. */
	CALL(stmfGetLuResource(&held_lu, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfGetLuProp(hdl, STMF_LU_PROP_ACCESS_STATE, access, &length), STMF_STATUS_SUCCESS);
	TEXT(access, STMF_ACCESS_ACTIVE_TO_STANDBY);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
	/* All at once: a call may wait for the LU before it gives up. */
	for (i = 0; i < WISHES; i++)
		TRUE(pthread_create(&wants[i], NULL, wish, &wishes[i]) == 0);
	for (i = 0; i < WISHES; i++) {
		TRUE(pthread_join(wants[i], NULL) == 0);
		check_covers_cause(wishes[i].name, wishes[i].status, "held");
		check_status(__LINE__, wishes[i].name, wishes[i].status, STMF_ERROR_BUSY);
	}
	TRUE(sem_post(&gate) == 0 && pthread_join(holds, NULL) == 0);
	check_status(__LINE__, "the one that has it", holder.status, STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&held_lu), STMF_STATUS_SUCCESS);
	backing_remove(&held_file);
}

/* A configuration that cannot be read changes nothing. */
static void load(void)
{
	stmfGroupList *list = NULL;
	stmfState state;
	int i;

	CALL(stmfCreateHostGroup(NAME("kept")), STMF_STATUS_SUCCESS);
	CALL(stmfOffline(), STMF_STATUS_SUCCESS);
	sql("ALTER TABLE setting RENAME TO away");
	CALL(stmfLoadConfig(), STMF_STATUS_ERROR);
	CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
	TRUE(state.configState == STMF_CONFIG_STATE_INIT_DONE);
	sql("ALTER TABLE away RENAME TO setting");
	for (i = 0; i < 2; i++) {
		CALL(stmfGetHostGroupList(&list), STMF_STATUS_SUCCESS);
		TRUE(list->cnt == 1 && strcmp(list->name[0], "kept") == 0);
		DO(stmfFreeMemory(list));
		CALL(stmfLoadConfig(), STMF_STATUS_SUCCESS);
	}
	CALL(stmfOnline(), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteHostGroup(NAME("kept")), STMF_STATUS_SUCCESS);
}

int main(void)
{
	char own[16];

	signal(SIGXFSZ, SIG_IGN);
	snprintf(own, sizeof (own), "%d", (int)getpid());
	setenv("STMF_TEST_PID", own, 0);
	prepare();
	store_refuses(1);
	store(STMF_STATUS_ERROR);
	store_refuses(0);
	store(STMF_STATUS_SUCCESS);
	clean_up();
	metadata();
	if (strcmp(getenv("STMF_TEST_PID"), own) == 0) {
		flushes();
		held();
	}
	load();
	return (check_end());
}
