/*
 * For the check at the end: the routes of the main table through an interface, IPv4 and IPv6.
 * routes IFINDEX PEERS OUT: writes a flat file; a route whose gateway is no peer's is left out.
 */
#include "netlink.h"

static int ifindex;
static const struct peer *peers;
static FILE *out;

static void note(struct nlmsghdr *head)
{
	struct flat flat;
	const uint8_t *gateway;
	if (!read_route(head, ifindex, &flat, &gateway) || (flat.peer = peer_of(peers, gateway)) == NO_PEER)
		return;
	fwrite(&flat, sizeof flat, 1, out);
}

int main(int argc, char **argv)
{
	size_t count;
	if (argc != 4)
		return 2;
	ifindex = atoi(argv[1]);
	peers = map_file(argv[2], sizeof *peers, &count, 0);
	index_gateways(peers, count);
	if (!(out = fopen(argv[3], "w")))
		die(argv[3]);
	int fd = netlink_open(NETLINK_ROUTE);
	dump(fd, AF_INET, note);
	dump(fd, AF_INET6, note);
	return fclose(out) ? 2 : 0;
}
