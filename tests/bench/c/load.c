/*
 * Floor of changing routes: messages packed back to back, 64 KiB at a time, acknowledged at the end only.
 * load add|replace|delete IFINDEX PEERS FLAT PROTOCOL NEXTHOP: prints when it began and ended, in ns.
 * With a NEXTHOP above 0 the routes of peer i name the nexthop object NEXTHOP + i instead of a gateway.
 */
#include "netlink.h"

static inline void add(struct nlmsghdr *head, int type, const void *data, size_t size)
{
	head->nlmsg_len = put((char *)head + head->nlmsg_len, type, data, size) - (char *)head;
}

static void add_gateway(struct nlmsghdr *head, int family, const uint8_t *gateway)
{
	struct { uint16_t family; uint8_t address[16]; } via = { .family = AF_INET6 };
	memcpy(via.address, gateway, 16);
	if (family == AF_INET)
		add(head, RTA_VIA, &via, sizeof via);
	else
		add(head, RTA_GATEWAY, gateway, 16);
}

/* Answers come for what was refused, and for the last one. */
static void await_end(int fd)
{
	char buffer[1 << 16];
	int refused = 0;
	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof buffer, 0);
		if (got < 0 && errno == ENOBUFS) {
			refused = 1; /* more refusals than fit */
			continue;
		}
		if (got < 0)
			die("answers");
		struct nlmsghdr *head = (struct nlmsghdr *)buffer;
		for (int left = got; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			struct nlmsgerr *error = NLMSG_DATA(head);
			if (error->error && !refused++)
				fprintf(stderr, "the kernel refused a route: %s\n", strerror(-error->error));
			if (error->msg.nlmsg_seq == 1 && (!error->error || error->msg.nlmsg_flags & NLM_F_ACK))
				exit(refused ? 1 : 0);
		}
	}
}

int main(int argc, char **argv)
{
	static char batch[1 << 16];
	size_t peer_count, count, used = 0;
	if (argc != 7)
		return 2;
	int deleting = *argv[1] == 'd', ifindex = atoi(argv[2]), protocol = atoi(argv[5]), nexthop = atoi(argv[6]);
	int flags = NLM_F_REQUEST | (deleting ? 0 : NLM_F_CREATE | (*argv[1] == 'a' ? NLM_F_EXCL : NLM_F_REPLACE));
	const struct peer *peers = map_file(argv[3], sizeof *peers, &peer_count, 0);
	const struct flat *flat = map_file(argv[4], sizeof *flat, &count, 0);
	int fd = netlink_open(NETLINK_ROUTE);
	uint64_t begin = now();
	for (size_t i = 0; i < count; i++) {
		struct nlmsghdr *head = (struct nlmsghdr *)(batch + used);
		struct rtmsg *route = NLMSG_DATA(head);
		int last = i == count - 1;
		*head = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(sizeof *route), .nlmsg_seq = last,
			.nlmsg_type = deleting ? RTM_DELROUTE : RTM_NEWROUTE, .nlmsg_flags = flags | (last ? NLM_F_ACK : 0) };
		*route = (struct rtmsg){ .rtm_family = flat[i].family, .rtm_dst_len = flat[i].length,
			.rtm_table = RT_TABLE_MAIN, .rtm_protocol = protocol, .rtm_type = RTN_UNICAST };
		add(head, RTA_DST, flat[i].address, flat[i].family == AF_INET ? 4 : 16);
		if (nexthop) {
			add(head, RTA_NH_ID, &(uint32_t){ nexthop + flat[i].peer }, 4);
		} else {
			add(head, RTA_OIF, &ifindex, 4);
			add_gateway(head, flat[i].family, peers[flat[i].peer].gateway);
		}
		used += NLMSG_ALIGN(head->nlmsg_len);
		if (last || used > sizeof batch - 256) {
			if (send(fd, batch, used, 0) < 0)
				die("send");
			used = 0;
		}
	}
	printf("%llu %llu\n", (unsigned long long)begin, (unsigned long long)now());
	fflush(stdout);
	if (count)
		await_end(fd);
	return 0;
}
