/* What the C floors share: the flat file of prefixes, peers, the clock, and stamps in a file that the bench maps. */
#ifndef BENCH_H
#define BENCH_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A prefix and the number of its peer: one record of a flat file. IPv4 addresses are the first four bytes. */
struct flat {
	uint8_t address[16];
	uint8_t length, family;
	uint16_t peer;
};

/* A peer: one record of the file of peers. */
struct peer {
	uint8_t key[32];
	uint8_t gateway[16];
};

enum { NO_PEER = 0xffff };

/* The file of stamps: how many there are, and for each the CLOCK_MONOTONIC in ns and how many prefixes were set. */
enum { STAMPS = 1 << 20 };
struct stamps {
	uint64_t written;
	struct { uint64_t time, count; } stamp[STAMPS];
};

static inline void die(const char *what)
{
	perror(what);
	exit(2);
}

static inline uint64_t now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000ull + at.tv_nsec;
}

static inline void stamp(struct stamps *stamps, uint64_t count)
{
	uint64_t at = stamps->written % STAMPS;
	stamps->stamp[at].time = now();
	stamps->stamp[at].count = count;
	__atomic_store_n(&stamps->written, stamps->written + 1, __ATOMIC_RELEASE);
}

/* A file of records in memory; their number goes to `count`. */
static inline void *map_file(const char *path, size_t record, size_t *count, int writable)
{
	int fd = open(path, writable ? O_RDWR : O_RDONLY);
	struct stat state;
	if (fd < 0 || fstat(fd, &state) < 0)
		die(path);
	*count = state.st_size / record;
	if (state.st_size == 0)
		return NULL;
	void *map = mmap(NULL, state.st_size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die(path);
	close(fd);
	return map;
}

static inline void write_all(int fd, const void *data, size_t size)
{
	for (const char *at = data; size;) {
		ssize_t wrote = write(fd, at, size);
		if (wrote < 0)
			die("write");
		at += wrote;
		size -= wrote;
	}
}

/* Which peer has a gateway: a small hash over its last bytes, which are random. */
enum { GATEWAYS = 1 << 16 };
static uint16_t by_gateway[GATEWAYS];

static inline uint16_t *gateway_slot(const struct peer *peers, const uint8_t *gateway)
{
	unsigned at = gateway[14] << 8 | gateway[15];
	while (by_gateway[at] && memcmp(peers[by_gateway[at] - 1].gateway, gateway, 16))
		at = (at + 1) % GATEWAYS;
	return &by_gateway[at];
}

static inline void index_gateways(const struct peer *peers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*gateway_slot(peers, peers[i].gateway) = i + 1;
}

static inline uint16_t peer_of(const struct peer *peers, const uint8_t *gateway)
{
	uint16_t found = gateway ? *gateway_slot(peers, gateway) : 0;
	return found ? found - 1 : NO_PEER;
}

#endif
