/* The functions that the original never had: many LUs at once, waiting for a state, giving an LU up in two phases. */
#include <libstmf.h>
#include <pthread.h>
#include <time.h>
#include "backing.h"
#include "check.h"

#define MANY 12
#define PATIENCE 60000

static struct backing files[MANY];
static char *paths[MANY];
static stmfGuid lus[MANY];
static stmfGuid nobody = {{0x60, 0x01, 0x44, 0xf0, 0xee, 0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
/* Without a peer that takes it over, an LU that was given up stays on its way to Standby. */
static char active[] = STMF_ACCESS_ACTIVE, given_up[] = STMF_ACCESS_ACTIVE_TO_STANDBY;

static void arguments(void)
{
	stmfDevid none = {0, ""}, absent = {5, "iqn.x"};
	char *path = files[0].path, *null = NULL;
	stmfGuid out;
	int status;

	CALL(stmfxImportLus(1, NULL, &out, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxImportLus(1, &path, NULL, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxImportLus(1, &path, &out, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfxImportLus(1, &null, &out, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxImportLus(UINT32_MAX, &path, &out, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxImportLus(0, &path, &out, &status), STMF_STATUS_SUCCESS);
	CALL(stmfxStandbyLus(1, NULL, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxStandbyLus(1, &out, NULL), STMF_ERROR_INVALID_ARG);
	CALL(stmfxStandbyLus(UINT32_MAX, &out, &status), STMF_ERROR_INVALID_ARG);
	CALL(stmfxStandbyLus(0, &out, &status), STMF_STATUS_SUCCESS);
	CALL(stmfxLuStandDown(NULL, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxLuStandDown(&nobody, 50001), STMF_ERROR_INVALID_ARG);
	CALL(stmfxLuStandDown(&nobody, 50000), STMF_ERROR_NOT_FOUND);
	CALL(stmfxWaitLogicalUnit(NULL, STMF_LOGICAL_UNIT_ONLINE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLogicalUnit(&nobody, -1, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLogicalUnit(&nobody, STMF_TARGET_PORT_OFFLINE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLogicalUnit(&nobody, STMF_LOGICAL_UNIT_ONLINE, 1), STMF_ERROR_NOT_FOUND);
	CALL(stmfxWaitLogicalUnit(&nobody, STMF_LOGICAL_UNIT_UNREGISTERED, 0), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitLuAccess(NULL, active, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLuAccess(&nobody, NULL, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLuAccess(&nobody, "4", 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLuAccess(&nobody, "", 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLuAccess(&nobody, "00", 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitLuAccess(&nobody, active, 0), STMF_ERROR_NOT_FOUND);
	CALL(stmfxWaitTarget(NULL, STMF_TARGET_PORT_ONLINE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitTarget(&none, STMF_TARGET_PORT_ONLINE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitTarget(&absent, STMF_LOGICAL_UNIT_ONLINE, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitTarget(&absent, STMF_TARGET_PORT_ONLINE, 0), STMF_ERROR_NOT_FOUND);
	CALL(stmfxWaitService(STMF_SERVICE_STATE_UNKNOWN, 0), STMF_ERROR_INVALID_ARG);
	CALL(stmfxWaitService(STMF_SERVICE_STATE_ONLINE, PATIENCE), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitService(STMF_SERVICE_STATE_OFFLINE, 0), STMF_ERROR_BUSY);
}

static void make(unsigned at)
{
	luResource hdl = NULL;

	backing_make(&files[at], 2 * MIB);
	paths[at] = files[at].path;
	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, files[at].path), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, &lus[at]), STMF_STATUS_SUCCESS);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
}

static void many(void)
{
	stmfGuid out[MANY], zero = {{0}};
	int statuses[MANY];
	char missing[] = "/nonexistent", *mixed[3];
	unsigned i;

	for (i = 0; i < MANY; i++)
		make(i);
	CALL(stmfSetAluaState(B_TRUE, 0), STMF_STATUS_SUCCESS);
	CALL(stmfxStandbyLus(MANY, lus, statuses), STMF_STATUS_SUCCESS);
	for (i = 0; i < MANY; i++) {
		TRUE(statuses[i] == STMF_STATUS_SUCCESS);
		CALL(stmfxWaitLuAccess(&lus[i], given_up, PATIENCE), STMF_STATUS_SUCCESS);
	}
	CALL(stmfxWaitLuAccess(&lus[0], active, 1), STMF_ERROR_BUSY);
	CALL(stmfxImportLus(MANY, paths, out, statuses), STMF_STATUS_SUCCESS);
	for (i = 0; i < MANY; i++) {
		TRUE(statuses[i] == STMF_STATUS_SUCCESS);
		TRUE(memcmp(&out[i], &lus[i], sizeof (out[i])) == 0);
		CALL(stmfxWaitLuAccess(&lus[i], active, PATIENCE), STMF_STATUS_SUCCESS);
	}

	/* Some of them cannot be; each has an answer of its own. */
	mixed[0] = paths[1];
	mixed[1] = missing;
	mixed[2] = paths[0];
	CALL(stmfxImportLus(3, mixed, out, statuses), STMF_STATUS_ERROR);
	TRUE(statuses[0] == STMF_ERROR_FILE_IN_USE && memcmp(&out[0], &lus[1], sizeof (out[0])) == 0);
	TRUE(statuses[1] == STMF_ERROR_META_FILE_NAME && memcmp(&out[1], &zero, sizeof (zero)) == 0);
	TRUE(statuses[2] == STMF_ERROR_FILE_IN_USE);
	out[0] = lus[0];
	out[1] = nobody;
	CALL(stmfxStandbyLus(2, out, statuses), STMF_STATUS_ERROR);
	TRUE(statuses[0] == STMF_STATUS_SUCCESS && statuses[1] == STMF_ERROR_NOT_FOUND);
}

static void *bring_online(void *lu)
{
	struct timespec moment = {0, 100 * 1000 * 1000};

	nanosleep(&moment, NULL);
	CALL(stmfOnlineLogicalUnit(lu), STMF_STATUS_SUCCESS);
	return (NULL);
}

static void waiting(void)
{
	pthread_t thread;

	CALL(stmfOfflineLogicalUnit(&lus[1]), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitLogicalUnit(&lus[1], STMF_LOGICAL_UNIT_OFFLINE, PATIENCE), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitLogicalUnit(&lus[1], STMF_LOGICAL_UNIT_ONLINE, 1), STMF_ERROR_BUSY);
	CALL(stmfxWaitLogicalUnit(&lus[1], STMF_LOGICAL_UNIT_UNREGISTERED, 1), STMF_ERROR_BUSY);
	TRUE(pthread_create(&thread, NULL, bring_online, &lus[1]) == 0);
	CALL(stmfxWaitLogicalUnit(&lus[1], STMF_LOGICAL_UNIT_ONLINE, PATIENCE), STMF_STATUS_SUCCESS);
	TRUE(pthread_join(thread, NULL) == 0);
}

static void stand_down(void)
{
	CALL(stmfxLuStandDown(&lus[1], 50000), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitLuAccess(&lus[1], given_up, 0), STMF_STATUS_SUCCESS);
	/* Once more changes nothing. */
	CALL(stmfxLuStandDown(&lus[1], 0), STMF_STATUS_SUCCESS);
	CALL(stmfxWaitLuAccess(&lus[1], given_up, 0), STMF_STATUS_SUCCESS);
}

int main(void)
{
	unsigned i;

	arguments();
	many();
	waiting();
	stand_down();
	CALL(stmfSetAluaState(B_FALSE, 0), STMF_STATUS_SUCCESS);
	for (i = 0; i < MANY; i++) {
		CALL(stmfDeleteLu(&lus[i]), STMF_STATUS_SUCCESS);
		CALL(stmfxWaitLogicalUnit(&lus[i], STMF_LOGICAL_UNIT_UNREGISTERED, PATIENCE), STMF_STATUS_SUCCESS);
		backing_remove(&files[i]);
	}
	return (check_end());
}
