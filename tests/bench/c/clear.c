/*
 * For the begin of each turn: all peers anew, without a prefix.
 * clear DEVICE PEERS
 */
#include "device.h"

int main(int argc, char **argv)
{
	static char text[REQUEST];
	struct request request = { .text = text, .size = sizeof text };
	size_t count;
	if (argc != 3)
		return 2;
	const struct peer *peers = map_file(argv[2], sizeof *peers, &count, 0);
	device_open(argv[1]);
	request_start(&request, WGDEVICE_F_REPLACE_PEERS);
	for (size_t i = 0; i < count; i++) {
		if (request_is_full(&request)) {
			request_send(&request);
			device->reply();
			request_start(&request, 0);
		}
		request_peer(&request, peers[i].key, 0);
	}
	request_send(&request);
	device->reply();
	return 0;
}
