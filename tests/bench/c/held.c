/*
 * For the check at the end: who holds which prefix on a device.
 * held DEVICE PEERS OUT: writes a flat file.
 */
#include "device.h"

static const struct peer *peers;
static size_t peer_count;
static FILE *out;

static void note(const uint8_t *key, const struct flat *told)
{
	static size_t at; /* mostly the same as before */
	struct flat flat = *told;
	for (size_t tried = 0; tried < peer_count && memcmp(peers[at].key, key, 32); tried++)
		at = (at + 1) % peer_count;
	flat.peer = memcmp(peers[at].key, key, 32) ? NO_PEER : at;
	fwrite(&flat, sizeof flat, 1, out);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	peers = map_file(argv[2], sizeof *peers, &peer_count, 0);
	if (!(out = fopen(argv[3], "w")))
		die(argv[3]);
	device_open(argv[1]);
	device->read(note);
	return fclose(out) ? 2 : 0;
}
