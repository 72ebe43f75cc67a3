/*
 * What a host learns about target port groups through one path: sends REPORT TARGET PORT GROUPS (SPC-4 6.37) with libiscsi
 * and prints each group. Usage: rtpg INITIATOR-NAME iscsi://HOST:PORT/TARGET/LUN
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

static const char *state_name(unsigned state)
{
	switch (state) {
	case 0x0: return "active/optimized";
	case 0x1: return "active/non-optimized";
	case 0x2: return "standby";
	case 0x3: return "unavailable";
	case 0xe: return "offline";
	case 0xf: return "transitioning";
	default: return "reserved";
	}
}

static unsigned get16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static int print_groups(const unsigned char *data, size_t size)
{
	size_t end, at = 4;

	if (size < 4)
		return 1;
	end = 4 + ((size_t)get16(data) << 16 | get16(data + 2));
	if (end > size)
		return 1;
	while (at + 8 <= end) {
		unsigned ports = data[at + 7], i;

		printf("group %u: %s%s", get16(data + at + 2), state_name(data[at] & 0x0f), data[at] & 0x80 ? ", preferred" : "");
		at += 8;
		if (at + 4u * ports > end)
			return 1;
		printf(", ports");
		for (i = 0; i < ports; i++, at += 4)
			printf(" %u", get16(data + at + 2));
		printf("\n");
	}
	return at != end;
}

int main(int argc, char **argv)
{
	struct iscsi_context *iscsi;
	struct iscsi_url *url;
	struct scsi_task *task;
	int status = 1, attempt;

	if (argc != 3) {
		fprintf(stderr, "usage: rtpg INITIATOR-NAME URL\n");
		return 2;
	}
	iscsi = iscsi_create_context(argv[1]);
	if (iscsi == NULL)
		return 1;
	url = iscsi_parse_full_url(iscsi, argv[2]);
	if (url == NULL) {
		fprintf(stderr, "rtpg: %s\n", iscsi_get_error(iscsi));
		return 2;
	}
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	if (iscsi_full_connect_sync(iscsi, url->portal, url->lun) != 0) {
		fprintf(stderr, "rtpg: login failed: %s\n", iscsi_get_error(iscsi));
		return 1;
	}
	/* A unit attention may come first; each command reports one. */
	for (attempt = 0; attempt < 5; attempt++) {
		task = calloc(1, sizeof(*task));
		if (task == NULL)
			return 1;
		task->cdb[0] = 0xa3;
		task->cdb[1] = 0x0a;
		task->cdb[8] = 0x10; /* allocation length 4096 */
		task->cdb_size = 12;
		task->xfer_dir = SCSI_XFER_READ;
		task->expxferlen = 4096;
		if (iscsi_scsi_command_sync(iscsi, url->lun, task, NULL) == NULL) {
			fprintf(stderr, "rtpg: %s\n", iscsi_get_error(iscsi));
			return 1;
		}
		if (task->status == SCSI_STATUS_GOOD) {
			status = print_groups(task->datain.data, (size_t)task->datain.size);
			break;
		}
		fprintf(stderr, "rtpg: status %d, sense key %d, ascq %04x\n", task->status, task->sense.key,
			(unsigned)task->sense.ascq);
		scsi_free_scsi_task(task);
	}
	iscsi_logout_sync(iscsi);
	iscsi_destroy_url(url);
	iscsi_destroy_context(iscsi);
	return status;
}
