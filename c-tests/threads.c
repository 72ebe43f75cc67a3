/* Calls from many threads at once, on one set of properties each. */
#include <libstmf.h>
#include <pthread.h>
#include "check.h"

#define THREADS 8
#define ROUNDS 50

static void *worker(void *argument)
{
	int number = *(int *)argument, i, wrong = 0;
	stmfGroupName name = "";
	stmfGroupProperties *members;
	stmfDevid id;
	luResource hdl;
	char text[64];
	size_t len;

	snprintf(name, sizeof (name), "thread %d", number);
	snprintf(text, sizeof (text), "iqn.2026-01.test:thread-%d", number);
	wrong += stmfDevidFromIscsiName(text, &id) != STMF_STATUS_SUCCESS;
	for (i = 0; i < ROUNDS; i++) {
		wrong += stmfCreateHostGroup(&name) != STMF_STATUS_SUCCESS;
		wrong += stmfAddToHostGroup(&name, &id) != STMF_STATUS_SUCCESS;
		members = NULL;
		wrong += stmfGetHostGroupMembers(&name, &members) != STMF_STATUS_SUCCESS;
		wrong += members == NULL || members->cnt != 1 || memcmp(&members->name[0], &id, sizeof (id)) != 0;
		stmfFreeMemory(members);
		wrong += stmfDeleteHostGroup(&name) != STMF_STATUS_SUCCESS;
		wrong += stmfCreateLuResource(STMF_DISK, &hdl) != STMF_STATUS_SUCCESS;
		wrong += stmfSetLuProp(hdl, STMF_LU_PROP_ALIAS, name) != STMF_STATUS_SUCCESS;
		len = sizeof (text);
		wrong += stmfGetLuProp(hdl, STMF_LU_PROP_ALIAS, text, &len) != STMF_STATUS_SUCCESS;
		wrong += strcmp(text, name) != 0;
		wrong += stmfFreeLuResource(hdl) != STMF_STATUS_SUCCESS;
	}
	*(int *)argument = wrong;
	return (NULL);
}

int main(void)
{
	pthread_t threads[THREADS];
	int results[THREADS], i;

	for (i = 0; i < THREADS; i++) {
		results[i] = i;
		TRUE(pthread_create(&threads[i], NULL, worker, &results[i]) == 0);
	}
	for (i = 0; i < THREADS; i++) {
		TRUE(pthread_join(threads[i], NULL) == 0);
		TRUE(results[i] == 0);
	}
	return (check_end());
}
