/*
 * Floor of setting many AllowedIPs: requests of some 64 KB, each formed while wireguard-go works on the one before.
 * set DEVICE PEERS FLAT, where FLAT is in the order of peers: prints when it began and ended, in ns.
 */
#include "device.h"

int main(int argc, char **argv)
{
	static char text[REQUEST];
	struct request request = { .text = text, .size = sizeof text };
	size_t peer_count, count;
	int owed = 0;
	if (argc != 4)
		return 2;
	const struct peer *peers = map_file(argv[2], sizeof *peers, &peer_count, 0);
	const struct flat *flat = map_file(argv[3], sizeof *flat, &count, 0);
	device_open(argv[1]);
	uint64_t begin = now();
	for (size_t i = 0; i < count;) {
		for (request_start(&request, 0); i < count && !request_is_full(&request); i++)
			give(&request, peers[flat[i].peer].key, &flat[i]);
		if (owed)
			device->reply();
		request_send(&request);
		owed = 1;
	}
	if (owed)
		device->reply();
	printf("%llu %llu\n", (unsigned long long)begin, (unsigned long long)now());
	return 0;
}
