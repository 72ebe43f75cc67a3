/*
 * For each line on standard input: calls stmfGetState and writes the status. The other side kills and restarts the service
 * between the lines.
 */
#include <libstmf.h>
#include <stdio.h>

int main(void)
{
	char line[80];
	stmfState state;

	while (fgets(line, sizeof (line), stdin) != NULL) {
		printf("0x%04x\n", (unsigned)stmfGetState(&state));
		fflush(stdout);
	}
	return (0);
}
