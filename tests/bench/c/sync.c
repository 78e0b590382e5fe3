/*
 * The floor of it all: routes to AllowedIPs with no rule. It dumps, sets, and then lives on notifications, a batch of
 * them at a time. No metric, no second route, no filter, nobody else's AllowedIPs, no ledger; but it remembers what it
 * set, and after an overrun it dumps again and sets what differs.
 * sync IFINDEX DEVICE PEERS STAMPS: runs until it is killed; a stamp at its begin, and after each reply.
 */
#include "device.h"

enum { BATCH = 1024, MESSAGE = 256, MARK = 0x80, RECEIVE_BUFFER = 256 << 20 };

static int ifindex, ask, hear;
static size_t peer_count;
static const struct peer *peers;
static struct stamps *stamps;

/* The table: open addressing, linear probing; family 0 is a free slot. */

static struct flat *slots;
static size_t mask, held;
static uint8_t mark; /* in `family` of what the present dump has shown */

static size_t home(const struct flat *flat)
{
	uint64_t part[2];
	memcpy(part, flat->address, 16);
	uint64_t hash = (part[0] ^ flat->length) * 0x9e3779b97f4a7c15u ^ part[1] * 0xc2b2ae3d27d4eb4fu;
	return (hash ^ hash >> 32) & mask;
}

static struct flat *find(const struct flat *flat)
{
	size_t at = home(flat);
	while (slots[at].family && (memcmp(slots[at].address, flat->address, 16) || slots[at].length != flat->length ||
				    (slots[at].family & ~MARK) != flat->family))
		at = (at + 1) & mask;
	return &slots[at];
}

static void grow(void)
{
	struct flat *old = slots;
	size_t count = old ? mask + 1 : 0;
	mask = old ? 2 * mask + 1 : 1023;
	if (!(slots = calloc(mask + 1, sizeof *slots)))
		die("memory");
	for (size_t i = 0; i < count; i++) {
		struct flat flat = old[i];
		flat.family &= ~MARK;
		if (flat.family)
			*find(&flat) = old[i];
	}
	free(old);
}

static void forget(struct flat *slot)
{
	size_t gap = slot - slots;
	for (size_t i = (gap + 1) & mask; slots[i].family; i = (i + 1) & mask)
		if (((i - home(&slots[i])) & mask) >= ((i - gap) & mask)) {
			slots[gap] = slots[i];
			gap = i;
		}
	slots[gap].family = 0;
	held--;
}

/* Requests. */

static uint64_t owed; /* prefixes of the request whose reply was not read yet: it works while we go on */

static void await_reply(void)
{
	if (!owed)
		return;
	device->reply();
	stamp(stamps, owed);
	owed = 0;
}

static void finish(struct request *request)
{
	if (!request->count)
		return;
	await_reply();
	owed = request->count;
	request_send(request);
	request_start(request, 0);
}

/* Dump, and set what differs: a request for each peer grows at a time, the last one for what goes. */

static struct request *requests;

static struct request *with_room(size_t number)
{
	struct request *request = &requests[number];
	if (request->at == request->text)
		request_start(request, 0);
	if (request_is_full(request))
		finish(request);
	return request;
}

static void note_dumped(struct nlmsghdr *head)
{
	struct flat flat;
	const uint8_t *gateway;
	if (!read_route(head, ifindex, &flat, &gateway) || (flat.peer = peer_of(peers, gateway)) == NO_PEER)
		return;
	if (10 * held >= 7 * mask)
		grow();
	struct flat *slot = find(&flat);
	if (!slot->family || slot->peer != flat.peer)
		give(with_room(flat.peer), peers[flat.peer].key, &flat);
	held += !slot->family;
	*slot = flat;
	slot->family |= mark;
}

static int by_address(const void *left, const void *right)
{
	return memcmp(left, right, 16);
}

/* In the order of addresses: neighbours in wireguard-go's tree, which is several times faster than any order. */
static void take_what_is_gone(void)
{
	struct flat *gone = malloc(held * sizeof *gone);
	size_t count = 0;
	for (size_t i = 0; i <= mask;) {
		if (!slots[i].family || (slots[i].family & MARK) == mark) {
			i++;
			continue;
		}
		gone[count] = slots[i];
		gone[count++].family &= ~MARK;
		forget(&slots[i]);
	}
	qsort(gone, count, sizeof *gone, by_address);
	for (size_t i = 0; i < count; i++)
		take(with_room(can_take ? gone[i].peer : peer_count), peers[gone[i].peer].key, &gone[i]);
	free(gone);
}

static void synchronise(void)
{
	size_t size = (peer_count + 1) * REQUEST;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		die("memory");
	for (size_t i = 0; i <= peer_count; i++)
		requests[i] = (struct request){ .text = area + i * REQUEST, .at = area + i * REQUEST, .size = REQUEST };
	mark ^= MARK;
	dump(ask, AF_INET, note_dumped);
	dump(ask, AF_INET6, note_dumped);
	take_what_is_gone();
	for (size_t i = 0; i <= peer_count; i++)
		finish(&requests[i]);
	await_reply();
	munmap(area, size);
}

/* Notifications: changes in their order, one request for all that were read at once. */

static char live_text[BATCH * ROOM];
static struct request live = { .text = live_text, .size = sizeof live_text };

static void note_live(struct nlmsghdr *head)
{
	struct flat flat;
	const uint8_t *gateway;
	if (!read_route(head, ifindex, &flat, &gateway))
		return;
	flat.peer = head->nlmsg_type == RTM_NEWROUTE ? peer_of(peers, gateway) : NO_PEER;
	if (request_is_full(&live))
		finish(&live);
	if (10 * held >= 7 * mask)
		grow();
	struct flat *slot = find(&flat);
	if (flat.peer == NO_PEER) {
		if (!slot->family)
			return;
		take(&live, peers[slot->peer].key, &flat);
		forget(slot);
		return;
	}
	if (slot->family && slot->peer == flat.peer)
		return;
	give(&live, peers[flat.peer].key, &flat);
	held += !slot->family;
	*slot = flat;
	slot->family |= mark;
}

static void listen_on(void)
{
	static char buffers[BATCH][MESSAGE];
	static struct iovec parts[BATCH];
	static struct mmsghdr batch[BATCH];
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ buffers[i], MESSAGE };
		batch[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	for (request_start(&live, 0);;) {
		int got = recvmmsg(hear, batch, BATCH, MSG_WAITFORONE, NULL);
		if (got < 0 && errno == ENOBUFS) {
			while (recvmmsg(hear, batch, BATCH, MSG_DONTWAIT, NULL) > 0 || errno == ENOBUFS)
				;
			fprintf(stderr, "overrun\n");
			synchronise();
			continue;
		}
		if (got < 0)
			die("notifications");
		for (int i = 0; i < got; i++)
			note_live((struct nlmsghdr *)buffers[i]);
		finish(&live);
		await_reply();
	}
}

int main(int argc, char **argv)
{
	size_t count;
	if (argc != 5)
		return 2;
	ifindex = atoi(argv[1]);
	stamps = map_file(argv[4], sizeof *stamps, &count, 1);
	stamp(stamps, 0);
	peers = map_file(argv[3], sizeof *peers, &peer_count, 0);
	index_gateways(peers, peer_count);
	requests = calloc(peer_count + 1, sizeof *requests);
	device_open(argv[2]);
	can_take = device->takes(peers->key);
	ask = netlink_open(NETLINK_ROUTE);
	hear = netlink_open(NETLINK_ROUTE);
	int size = RECEIVE_BUFFER, groups[] = { RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };
	setsockopt(hear, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	for (int i = 0; i < 2; i++)
		setsockopt(hear, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]);
	grow();
	synchronise();
	listen_on();
}
