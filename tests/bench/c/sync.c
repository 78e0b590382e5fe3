/*
 * The floor of it all: routes to AllowedIPs with no rule. It dumps, sets, and then lives on notifications, a batch of
 * them at a time. No metric, no second route, no filter, nobody else's AllowedIPs, no ledger; but it remembers what it
 * set, and after an overrun it dumps again and sets what differs.
 * sync IFINDEX SOCKET PEERS STAMPS: runs until it is killed; a stamp at its begin, and after each reply.
 */
#include "netlink.h"
#include "uapi.h"

enum { BATCH = 1024, MESSAGE = 256, CHUNK = 1 << 16, MARK = 0x80, RECEIVE_BUFFER = 256 << 20 };

static int ifindex, uapi, ask, hear;
static size_t peer_count;
static const struct peer *peers;
static struct stamps *stamps;
static char (*key_lines)[KEY_LINE + 1]; /* the last one is a throwaway peer: what it gets goes with it */

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

struct request {
	char *text, *at;
	uint64_t count;
};

static void start(struct request *request)
{
	request->at = stpcpy(request->text, "set=1\n");
	request->count = 0;
}

static uint64_t owed; /* prefixes of the request whose reply was not read yet: it works while we go on */

static void await_reply(void)
{
	if (!owed)
		return;
	uapi_reply(uapi);
	stamp(stamps, owed);
	owed = 0;
}

static void finish(struct request *request)
{
	if (!request->count)
		return;
	*request->at++ = '\n';
	await_reply();
	write_all(uapi, request->text, request->at - request->text);
	owed = request->count;
	start(request);
}

static void put_key_of(struct request *request, size_t peer)
{
	memcpy(request->at, key_lines[peer], KEY_LINE);
	request->at += KEY_LINE;
}

/* Dump, and set what differs: a request for each peer grows at a time, the last one for what goes. */

static struct request *requests;

static void bring(const struct flat *flat, size_t peer)
{
	struct request *request = &requests[peer];
	if (request->at == request->text || request->at - request->text > CHUNK - LINE - KEY_LINE - 16) {
		if (request->at != request->text) {
			if (peer == peer_count) {
				put_key_of(request, peer);
				request->at = stpcpy(request->at, "remove=true\n");
			}
			finish(request);
		}
		start(request);
	}
	if (!request->count++)
		put_key_of(request, peer);
	request->at = put_prefix(request->at, flat);
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
		bring(&flat, flat.peer);
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
		bring(&gone[i], peer_count);
	free(gone);
}

static void synchronise(void)
{
	size_t size = (peer_count + 1) * CHUNK;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		die("memory");
	for (size_t i = 0; i <= peer_count; i++)
		requests[i] = (struct request){ .text = area + i * CHUNK, .at = area + i * CHUNK };
	mark ^= MARK;
	dump(ask, AF_INET, note_dumped);
	dump(ask, AF_INET6, note_dumped);
	take_what_is_gone();
	if (requests[peer_count].count) {
		put_key_of(&requests[peer_count], peer_count);
		requests[peer_count].at = stpcpy(requests[peer_count].at, "remove=true\n");
	}
	for (size_t i = 0; i <= peer_count; i++)
		finish(&requests[i]);
	await_reply();
	munmap(area, size);
}

/* Notifications: changes in their order, one request for all that were read at once. */

static char live_text[BATCH * (LINE + KEY_LINE) + 256];
static struct request live = { .text = live_text };
static size_t last_peer;

static void set_live(const struct flat *flat, size_t peer)
{
	if (!live.count++ || peer != last_peer)
		put_key_of(&live, last_peer = peer);
	live.at = put_prefix(live.at, flat);
}

static int note_live(struct nlmsghdr *head)
{
	struct flat flat;
	const uint8_t *gateway;
	if (!read_route(head, ifindex, &flat, &gateway))
		return 0;
	flat.peer = head->nlmsg_type == RTM_NEWROUTE ? peer_of(peers, gateway) : NO_PEER;
	if (10 * held >= 7 * mask)
		grow();
	struct flat *slot = find(&flat);
	if (flat.peer == NO_PEER) {
		if (!slot->family)
			return 0;
		set_live(&flat, peer_count);
		forget(slot);
		return 1;
	}
	if (slot->family && slot->peer == flat.peer)
		return 0;
	set_live(&flat, flat.peer);
	held += !slot->family;
	*slot = flat;
	slot->family |= mark;
	return 0;
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
	for (start(&live);;) {
		int removals = 0, got = recvmmsg(hear, batch, BATCH, MSG_WAITFORONE, NULL);
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
			removals += note_live((struct nlmsghdr *)buffers[i]);
		if (removals) {
			put_key_of(&live, peer_count);
			live.at = stpcpy(live.at, "remove=true\n");
		}
		finish(&live);
		await_reply();
	}
}

int main(int argc, char **argv)
{
	static const uint8_t throwaway[32] = { 0xff, 1 };
	size_t count;
	if (argc != 5)
		return 2;
	ifindex = atoi(argv[1]);
	stamps = map_file(argv[4], sizeof *stamps, &count, 1);
	stamp(stamps, 0);
	peers = map_file(argv[3], sizeof *peers, &peer_count, 0);
	index_gateways(peers, peer_count);
	key_lines = calloc(peer_count + 1, sizeof *key_lines);
	requests = calloc(peer_count + 1, sizeof *requests);
	for (size_t i = 0; i <= peer_count; i++)
		put_key(key_lines[i], i < peer_count ? peers[i].key : throwaway);
	uapi = uapi_open(argv[2]);
	ask = netlink_open();
	hear = netlink_open();
	int size = RECEIVE_BUFFER, groups[] = { RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };
	setsockopt(hear, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	for (int i = 0; i < 2; i++)
		setsockopt(hear, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]);
	grow();
	synchronise();
	listen_on();
}
