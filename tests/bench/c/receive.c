/*
 * Floor of a dump: ask for all routes of a family and only receive them.
 * receive FAMILY: prints the nanoseconds from asking to the end, and how many bytes came.
 */
#include "netlink.h"

int main(int argc, char **argv)
{
	int fd = netlink_open(NETLINK_ROUTE);
	uint64_t begin = now();
	size_t bytes = dump(fd, atoi(argv[argc - 1]), NULL);
	printf("%llu %zu\n", (unsigned long long)(now() - begin), bytes);
	return 0;
}
