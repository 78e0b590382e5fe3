/*
 * A WireGuard device, and requests of AllowedIPs to it. It is wireguard-go's where it is given as the path of a socket,
 * and the kernel's where it is given as the name of an interface.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "kernel.h"
#include "uapi.h"

enum { REQUEST = 1 << 16, ROOM = 256 }; /* most bytes of one; what a peer with a prefix, and the end, need of them */

static const struct speech *device;
static int can_take; /* whether it takes a prefix from its peer, once that was asked */
static const uint8_t throwaway[32] = { 0xff, 1 }; /* a peer that takes away with it what it gets */

static inline void device_open(const char *where)
{
	device = strchr(where, '/') ? &uapi_speech : &kernel_speech;
	device->open(where);
}

static inline void request_start(struct request *request, uint32_t flags)
{
	request->at = request->text;
	request->key = NULL;
	request->count = request->discards = 0;
	device->start(request, flags);
}

static inline int request_is_full(const struct request *request)
{
	return request->at + ROOM > request->text + (request->size < device->limit ? request->size : device->limit);
}

static inline void request_peer(struct request *request, const uint8_t *key, uint32_t flags)
{
	device->peer(request, key, flags);
	request->key = key;
}

static inline void give(struct request *request, const uint8_t *key, const struct flat *flat)
{
	if (request->key != key)
		request_peer(request, key, key == throwaway ? 0 : WGPEER_F_UPDATE_ONLY);
	device->prefix(request, flat, 0);
	request->count++;
}

/* Take a prefix from the peer that has it; where the device knows no such thing, from whoever has it. */
static inline void take(struct request *request, const uint8_t *key, const struct flat *flat)
{
	if (!can_take) {
		request->discards = 1;
		give(request, throwaway, flat);
		return;
	}
	if (request->key != key)
		request_peer(request, key, WGPEER_F_UPDATE_ONLY);
	device->prefix(request, flat, 1);
	request->count++;
}

/* A reply is owed then, which `device->reply` reads. */
static inline void request_send(struct request *request)
{
	if (request->discards)
		request_peer(request, throwaway, WGPEER_F_REMOVE_ME);
	device->send(request);
}

#endif
