/*
 * A program that is not linked with the library: it loads it, calls, lets it go and loads it again, also from several threads at
 * once. What the process has in the library is still there then.
 */
#include <dlfcn.h>
#include <libstmf.h>
#include <pthread.h>
#include "check.h"

#define THREADS 4
#define ROUNDS 8

/* The functions used, each with the type that the header gives it. */
static struct functions {
	__typeof__(stmfGetState) *get_state;
	__typeof__(stmfCreateHostGroup) *create_group;
	__typeof__(stmfDeleteHostGroup) *delete_group;
	__typeof__(stmfCreateLuResource) *create_resource;
	__typeof__(stmfSetLuProp) *set_property;
	__typeof__(stmfGetLuProp) *get_property;
	__typeof__(stmfFreeLuResource) *free_resource;
} none;

static int load(void **library, struct functions *functions)
{
	static const char *const names[] = {
		"stmfGetState", "stmfCreateHostGroup", "stmfDeleteHostGroup", "stmfCreateLuResource", "stmfSetLuProp", "stmfGetLuProp",
		"stmfFreeLuResource",
	};
	void *symbols[sizeof (names) / sizeof (names[0])];
	size_t i;

	if ((*library = dlopen("libstmf.so.1", RTLD_NOW | RTLD_LOCAL)) == NULL) {
		printf("%s\n", dlerror());
		return (0);
	}
	for (i = 0; i < sizeof (names) / sizeof (names[0]); i++)
		if ((symbols[i] = dlsym(*library, names[i])) == NULL)
			return (0);
	*functions = none;
	memcpy(functions, symbols, sizeof (symbols));
	return (1);
}

static void *many_times(void *bad)
{
	struct functions stmf;
	stmfState state;
	void *library;
	int i;

	for (i = 0; i < ROUNDS; i++)
		if (!load(&library, &stmf) || stmf.get_state(&state) != STMF_STATUS_SUCCESS || dlclose(library) != 0)
			*(int *)bad = 1;
	return (NULL);
}

int main(void)
{
	stmfGroupName group = "loader";
	pthread_t threads[THREADS];
	int i, bad[THREADS] = {0};
	luResource resource = NULL;
	struct functions stmf;
	char text[16];
	size_t length = sizeof (text);
	void *library;

	TRUE(dlopen("libstmf.so.1", RTLD_NOW | RTLD_NOLOAD) == NULL);
	if (!TRUE(load(&library, &stmf)))
		return (check_end());
	CALL(stmf.create_group(&group), STMF_STATUS_SUCCESS);
	CALL(stmf.create_resource(STMF_DISK, &resource), STMF_STATUS_SUCCESS);
	CALL(stmf.set_property(resource, STMF_LU_PROP_ALIAS, "kept"), STMF_STATUS_SUCCESS);
	TRUE(dlclose(library) == 0);

	for (i = 0; i < THREADS; i++)
		TRUE(pthread_create(&threads[i], NULL, many_times, &bad[i]) == 0);
	for (i = 0; i < THREADS; i++)
		TRUE(pthread_join(threads[i], NULL) == 0 && bad[i] == 0);

	if (!TRUE(load(&library, &stmf)))
		return (check_end());
	CALL(stmf.create_group(&group), STMF_ERROR_EXISTS);
	CALL(stmf.delete_group(&group), STMF_STATUS_SUCCESS);
	CALL(stmf.get_property(resource, STMF_LU_PROP_ALIAS, text, &length), STMF_STATUS_SUCCESS);
	TEXT(text, "kept");
	CALL(stmf.free_resource(resource), STMF_STATUS_SUCCESS);
	TRUE(dlclose(library) == 0);
	return (check_end());
}
