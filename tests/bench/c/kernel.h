/* The kernel's WireGuard: requests of AllowedIPs in nests, their replies, and reading, over generic netlink. */
#ifndef KERNEL_H
#define KERNEL_H

#include "netlink.h"
#include "request.h"
#include <linux/genetlink.h>
#include <net/if.h>

/* Since Linux 6.16, whose headers the machine may not have. */
enum { ALLOWEDIP_FLAGS = 4, ALLOWEDIP_REMOVE_ME = 1 };

static int generic;
static uint16_t wireguard;
static uint32_t device_index;
static each_held *tell_held;

/* What each request begins with; the nest of peers has what follows. */
struct kernel_head {
	struct nlmsghdr message;
	struct genlmsghdr command;
	struct nlattr index_head;
	uint32_t index;
	struct nlattr flags_head;
	uint32_t flags;
	struct nlattr peers;
};

static inline char *open_nest(char *at, int type)
{
	return put(at, type | NLA_F_NESTED, "", 0);
}

static inline void close_nest(char *nest, const char *end)
{
	((struct nlattr *)nest)->nla_len = end - nest;
}

static inline void kernel_start(struct request *request, uint32_t flags)
{
	*(struct kernel_head *)request->at = (struct kernel_head){
		.message = { .nlmsg_type = wireguard, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.command = { .cmd = WG_CMD_SET_DEVICE, .version = WG_GENL_VERSION },
		.index_head = { 8, WGDEVICE_A_IFINDEX },
		.index = device_index,
		.flags_head = { 8, WGDEVICE_A_FLAGS },
		.flags = flags,
		.peers = { .nla_type = WGDEVICE_A_PEERS | NLA_F_NESTED },
	};
	request->at += sizeof(struct kernel_head);
	request->peer = request->prefixes = NULL;
}

static inline void close_peer(struct request *request)
{
	if (request->prefixes)
		close_nest(request->prefixes, request->at);
	if (request->peer)
		close_nest(request->peer, request->at);
	request->peer = request->prefixes = NULL;
}

static inline void kernel_peer(struct request *request, const uint8_t *key, uint32_t flags)
{
	close_peer(request);
	request->peer = request->at;
	request->at = put(open_nest(request->at, 0), WGPEER_A_PUBLIC_KEY, key, 32);
	request->at = put(request->at, WGPEER_A_FLAGS, &flags, 4);
}

static inline void kernel_prefix(struct request *request, const struct flat *flat, int take)
{
	uint16_t family = flat->family;
	if (!request->prefixes) {
		request->prefixes = request->at;
		request->at = open_nest(request->at, WGPEER_A_ALLOWEDIPS);
	}
	char *nest = request->at, *at = open_nest(nest, 0);
	at = put(at, WGALLOWEDIP_A_FAMILY, &family, 2);
	at = put(at, WGALLOWEDIP_A_CIDR_MASK, &flat->length, 1);
	at = family == AF_INET ? put(at, WGALLOWEDIP_A_IPADDR, flat->address, 4) :
				 put(at, WGALLOWEDIP_A_IPADDR, flat->address, 16);
	if (take)
		at = put(at, ALLOWEDIP_FLAGS, &(uint32_t){ ALLOWEDIP_REMOVE_ME }, 4);
	close_nest(nest, at);
	request->at = at;
}

static inline void kernel_send(struct request *request)
{
	struct kernel_head *head = (struct kernel_head *)request->text;
	close_peer(request);
	head->message.nlmsg_len = request->at - request->text;
	close_nest((char *)&head->peers, request->at);
	write_all(generic, request->text, request->at - request->text);
}

/* The number of an error, 0 for none. */
static inline int kernel_answer(void)
{
	struct { struct nlmsghdr head; struct nlmsgerr error; char rest[1 << 12]; } answer;
	if (recv(generic, &answer, sizeof answer, 0) < 0 || answer.head.nlmsg_type != NLMSG_ERROR)
		die("reply");
	return -answer.error.error;
}

static inline void kernel_reply(void)
{
	int error = kernel_answer();
	if (error) {
		fprintf(stderr, "the kernel refused: %s\n", strerror(error));
		exit(1);
	}
}

static inline void find_wireguard(void)
{
	char buffer[1 << 13];
	struct nlmsghdr *head = (struct nlmsghdr *)buffer;
	char *at = NLMSG_DATA(head);
	*(struct genlmsghdr *)at = (struct genlmsghdr){ .cmd = CTRL_CMD_GETFAMILY, .version = 2 };
	at = put(at + GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME, sizeof WG_GENL_NAME);
	*head = (struct nlmsghdr){ .nlmsg_len = at - buffer, .nlmsg_type = GENL_ID_CTRL, .nlmsg_flags = NLM_F_REQUEST };
	write_all(generic, buffer, at - buffer);
	if (recv(generic, buffer, sizeof buffer, 0) < 0 || head->nlmsg_type != GENL_ID_CTRL)
		die("WireGuard in the kernel");
	int left = NLMSG_PAYLOAD(head, GENL_HDRLEN);
	struct rtattr *found = (struct rtattr *)((char *)NLMSG_DATA(head) + GENL_HDRLEN);
	for (; RTA_OK(found, left); found = RTA_NEXT(found, left))
		if (found->rta_type == CTRL_ATTR_FAMILY_ID)
			wireguard = *(uint16_t *)RTA_DATA(found);
}

/* An old kernel refuses to take what nobody has; a new one does nothing. */
static inline int kernel_takes(const uint8_t *some_peer)
{
	static const struct flat nothing = { .address = { 255, 255, 255, 255 }, .length = 32, .family = AF_INET };
	char text[512];
	struct request request = { .text = text, .at = text };
	kernel_start(&request, 0);
	kernel_peer(&request, some_peer, WGPEER_F_UPDATE_ONLY);
	kernel_prefix(&request, &nothing, 1);
	kernel_send(&request);
	return !kernel_answer();
}

static inline void kernel_open(const char *where)
{
	generic = netlink_open(NETLINK_GENERIC);
	if (!(device_index = if_nametoindex(where)))
		die(where);
	find_wireguard();
}

static inline void tell_prefix(const uint8_t *key, struct rtattr *nest)
{
	struct flat flat = { .peer = NO_PEER };
	int left = RTA_PAYLOAD(nest);
	for (struct rtattr *at = RTA_DATA(nest); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		switch (at->rta_type & NLA_TYPE_MASK) {
		case WGALLOWEDIP_A_FAMILY: flat.family = *(uint16_t *)RTA_DATA(at); break;
		case WGALLOWEDIP_A_CIDR_MASK: flat.length = *(uint8_t *)RTA_DATA(at); break;
		case WGALLOWEDIP_A_IPADDR: memcpy(flat.address, RTA_DATA(at), RTA_PAYLOAD(at)); break;
		}
	}
	tell_held(key, &flat);
}

static inline void tell_peer(struct rtattr *nest)
{
	const uint8_t *key = NULL; /* it stands before the prefixes */
	int left = RTA_PAYLOAD(nest);
	for (struct rtattr *at = RTA_DATA(nest); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		int type = at->rta_type & NLA_TYPE_MASK, inner = RTA_PAYLOAD(at);
		if (type == WGPEER_A_PUBLIC_KEY)
			key = RTA_DATA(at);
		if (type != WGPEER_A_ALLOWEDIPS || !key)
			continue;
		for (struct rtattr *one = RTA_DATA(at); RTA_OK(one, inner); one = RTA_NEXT(one, inner))
			tell_prefix(key, one);
	}
}

static inline void tell_device(struct nlmsghdr *head)
{
	int left = NLMSG_PAYLOAD(head, GENL_HDRLEN);
	struct rtattr *at = (struct rtattr *)((char *)NLMSG_DATA(head) + GENL_HDRLEN);
	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		int inner = RTA_PAYLOAD(at);
		if ((at->rta_type & NLA_TYPE_MASK) != WGDEVICE_A_PEERS)
			continue;
		for (struct rtattr *peer = RTA_DATA(at); RTA_OK(peer, inner); peer = RTA_NEXT(peer, inner))
			tell_peer(peer);
	}
}

static inline void kernel_read(each_held *each)
{
	struct { struct nlmsghdr head; struct genlmsghdr command; struct nlattr index_head; uint32_t index; } ask = {
		.head = { .nlmsg_len = sizeof ask, .nlmsg_type = wireguard, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.command = { .cmd = WG_CMD_GET_DEVICE, .version = WG_GENL_VERSION },
		.index_head = { 8, WGDEVICE_A_IFINDEX },
		.index = device_index,
	};
	tell_held = each;
	write_all(generic, &ask, sizeof ask);
	receive_dump(generic, tell_device);
}

static const struct speech kernel_speech = {
	.limit = UINT16_MAX, /* of the nest of peers */
	.open = kernel_open,
	.takes = kernel_takes,
	.start = kernel_start,
	.peer = kernel_peer,
	.prefix = kernel_prefix,
	.send = kernel_send,
	.reply = kernel_reply,
	.read = kernel_read,
};

#endif
