/*
 * Floor of setting many AllowedIPs: requests of some 64 KB, each formed while wireguard-go works on the one before.
 * set SOCKET PEERS FLAT, where FLAT is in the order of peers: prints when it began and ended, in ns.
 */
#include "uapi.h"

int main(int argc, char **argv)
{
	static char request[1 << 16];
	size_t peer_count, count;
	int owed = 0;
	if (argc != 4)
		return 2;
	const struct peer *peers = map_file(argv[2], sizeof *peers, &peer_count, 0);
	const struct flat *flat = map_file(argv[3], sizeof *flat, &count, 0);
	int fd = uapi_open(argv[1]);
	uint64_t begin = now();
	for (size_t i = 0; i < count;) {
		char *at = stpcpy(request, "set=1\n");
		for (int peer = -1; i < count && at < request + sizeof request - LINE - KEY_LINE - 2; i++) {
			if (flat[i].peer != peer)
				at = put_key(at, peers[peer = flat[i].peer].key);
			at = put_prefix(at, &flat[i]);
		}
		*at++ = '\n';
		if (owed)
			uapi_reply(fd);
		write_all(fd, request, at - request);
		owed = 1;
	}
	if (owed)
		uapi_reply(fd);
	printf("%llu %llu\n", (unsigned long long)begin, (unsigned long long)now());
	return 0;
}
