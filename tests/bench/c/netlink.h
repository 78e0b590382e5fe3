/* netlink: sockets, dumps, and reading a route. */
#ifndef NETLINK_H
#define NETLINK_H

#include "bench.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static inline int netlink_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl here = { .nl_family = AF_NETLINK };
	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
		die("netlink");
	return fd;
}

/* Write an attribute; returns where the next one goes. */
static inline char *put(char *at, int type, const void *data, size_t size)
{
	*(struct nlattr *)at = (struct nlattr){ .nla_len = NLA_HDRLEN + size, .nla_type = type };
	memcpy(at + NLA_HDRLEN, data, size);
	memset(at + NLA_HDRLEN + size, 0, NLA_ALIGN(size) - size);
	return at + NLA_HDRLEN + NLA_ALIGN(size);
}

static inline void ask_for_dump(int fd, int family)
{
	struct { struct nlmsghdr head; struct rtmsg route; } ask = {
		.head = { .nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.route = { .rtm_family = family },
	};
	if (send(fd, &ask, sizeof ask, 0) < 0)
		die("dump");
}

/* Hand each message of a dump to `each`, or only receive them if there is none. */
static inline size_t receive_dump(int fd, void (*each)(struct nlmsghdr *))
{
	static char buffer[1 << 18];
	size_t bytes = 0;
	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof buffer, 0);
		if (got < 0)
			die("dump");
		bytes += got;
		struct nlmsghdr *head = (struct nlmsghdr *)buffer;
		if (head->nlmsg_type == NLMSG_DONE)
			return bytes;
		if (head->nlmsg_type == NLMSG_ERROR)
			die("dump");
		if (!each)
			continue;
		for (int left = got; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return bytes;
			each(head);
		}
	}
}

/* Dump the routes of a family. */
static inline size_t dump(int fd, int family, void (*each)(struct nlmsghdr *))
{
	ask_for_dump(fd, family);
	return receive_dump(fd, each);
}

/*
 * Read a unicast route of the main table through one interface; returns 0 for any other. `gateway` becomes the 16
 * bytes of an IPv6 gateway, or NULL.
 */
static inline int read_route(struct nlmsghdr *head, int ifindex, struct flat *flat, const uint8_t **gateway)
{
	struct rtmsg *route = NLMSG_DATA(head);
	int left = RTM_PAYLOAD(head), oif = 0;
	if (route->rtm_type != RTN_UNICAST || route->rtm_table != RT_TABLE_MAIN || route->rtm_flags & RTM_F_CLONED)
		return 0;
	memset(flat, 0, sizeof *flat);
	flat->family = route->rtm_family;
	flat->length = route->rtm_dst_len;
	*gateway = NULL;
	for (struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		switch (at->rta_type) {
		case RTA_DST: memcpy(flat->address, RTA_DATA(at), RTA_PAYLOAD(at)); break;
		case RTA_OIF: oif = *(int *)RTA_DATA(at); break;
		case RTA_GATEWAY: *gateway = RTA_PAYLOAD(at) == 16 ? RTA_DATA(at) : NULL; break;
		case RTA_VIA: *gateway = (uint8_t *)RTA_DATA(at) + 2; break;
		}
	}
	return oif == ifindex;
}

#endif
