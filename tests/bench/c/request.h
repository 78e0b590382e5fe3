/* What both kinds of WireGuard device have in common. */
#ifndef REQUEST_H
#define REQUEST_H

#include "bench.h"
#include <linux/wireguard.h>

/* A change, as it is written. */
struct request {
	char *text, *at; /* its bytes, and where the next ones go */
	size_t size;
	char *peer, *prefixes; /* the nests that are open, where it goes to the kernel */
	const uint8_t *key;    /* the peer that is written */
	uint64_t count;	       /* prefixes */
	int discards;	       /* whether some go to the throwaway peer */
};

typedef void each_held(const uint8_t *key, const struct flat *flat);

/* How a device is spoken to; flags are those of linux/wireguard.h. */
struct speech {
	size_t limit; /* most bytes of a request */
	void (*open)(const char *where);
	int (*takes)(const uint8_t *some_peer); /* whether a prefix can be taken from its peer */
	void (*start)(struct request *request, uint32_t flags);
	void (*peer)(struct request *request, const uint8_t *key, uint32_t flags);
	void (*prefix)(struct request *request, const struct flat *flat, int take);
	void (*send)(struct request *request);
	void (*reply)(void);
	void (*read)(each_held *each);
};

#endif
