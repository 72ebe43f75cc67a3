/* One line per check; a failing one is printed. The last line of a program is "N passed, M failed". */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned checks_passed, checks_failed;

/* The function that a checked expression calls; a program that calls through pointers defines it. */
#ifndef CHECK_NAME
#define CHECK_NAME(call) (call)
#endif

/* Notes, for the table of tested statuses, that a function of the library has returned this one. */
static inline void check_covers(const char *call, int status)
{
	const char *path = getenv("STMF_COVERAGE");
	FILE *file;

	if (path == NULL || strncmp(call, "stmf", 4) != 0 || (file = fopen(path, "a")) == NULL)
		return;
	fprintf(file, "%.*s 0x%04x\n", (int)strcspn(call, "("), call, (unsigned)status);
	fclose(file);
}

/* The same, where statuses.tsv tells causes of the status apart: for this one. */
static inline void check_covers_cause(const char *call, int status, const char *cause)
{
	const char *path = getenv("STMF_COVERAGE");
	FILE *file;

	if (path == NULL || (file = fopen(path, "a")) == NULL)
		return;
	fprintf(file, "%.*s 0x%04x:%s\n", (int)strcspn(call, "("), call, (unsigned)status, cause);
	fclose(file);
}

/* The same for a function that returns nothing. */
static inline void check_called(const char *call)
{
	const char *path = getenv("STMF_COVERAGE");
	FILE *file;

	if (path == NULL || (file = fopen(path, "a")) == NULL)
		return;
	fprintf(file, "%.*s none\n", (int)strcspn(call, "("), call);
	fclose(file);
}

static inline int check_status(int line, const char *what, int got, int wanted)
{
	check_covers(CHECK_NAME(what), got);
	if (got == wanted) {
		checks_passed++;
		return (1);
	}
	checks_failed++;
	printf("line %d: %s: got 0x%04x, wanted 0x%04x\n", line, what, (unsigned)got, (unsigned)wanted);
	return (0);
}

static inline int check_true(int line, const char *what, int holds)
{
	if (holds)
		checks_passed++;
	else {
		checks_failed++;
		printf("line %d: %s does not hold\n", line, what);
	}
	return (holds);
}

static inline int check_text(int line, const char *what, const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0) {
		checks_passed++;
		return (1);
	}
	checks_failed++;
	printf("line %d: %s: got \"%s\", wanted \"%s\"\n", line, what, got, wanted);
	return (0);
}

/* A call and the status it must have. */
#define CALL(call, status) check_status(__LINE__, #call, call, status)
/* The same, for one of the causes that statuses.tsv tells apart. */
#define CALL_FOR(call, status, cause) \
	(CALL(call, status) ? (check_covers_cause(CHECK_NAME(#call), status, cause), 1) : 0)
/* A call that returns nothing. */
#define DO(call) (call, check_called(#call))
#define TRUE(condition) check_true(__LINE__, #condition, (condition) != 0)
#define TEXT(got, wanted) check_text(__LINE__, #got, got, wanted)

static inline int check_end(void)
{
	printf("%u passed, %u failed\n", checks_passed, checks_failed);
	return (checks_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

#endif
