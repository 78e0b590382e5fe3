/* wireguard-go's socket: requests of AllowedIPs as text, and their replies. */
#ifndef UAPI_H
#define UAPI_H

#include "bench.h"
#include <arpa/inet.h>
#include <sys/un.h>

enum { LINE = 80, KEY_LINE = 11 + 64 + 1 }; /* most bytes of a line with a prefix; bytes of one with a key */

static inline int uapi_open(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un there = { .sun_family = AF_UNIX };
	strncpy(there.sun_path, path, sizeof there.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&there, sizeof there) < 0)
		die(path);
	return fd;
}

static inline void uapi_reply(int fd)
{
	static const char fine[] = "errno=0\n\n";
	char answer[64];
	size_t have = 0;
	while (have < 2 || memcmp(answer + have - 2, "\n\n", 2)) {
		ssize_t got = read(fd, answer + have, sizeof answer - have);
		if (got <= 0)
			die("reply");
		have += got;
	}
	if (have != sizeof fine - 1 || memcmp(answer, fine, have)) {
		fprintf(stderr, "wireguard-go refused: %.*s", (int)have, answer);
		exit(1);
	}
}

static inline char *put_key(char *at, const uint8_t *key)
{
	at = stpcpy(at, "public_key=");
	for (int i = 0; i < 32; i++)
		at += sprintf(at, "%02x", key[i]);
	*at++ = '\n';
	return at;
}

static inline char *put_number(char *at, unsigned number)
{
	if (number >= 100)
		*at++ = '0' + number / 100;
	if (number >= 10)
		*at++ = '0' + number / 10 % 10;
	*at++ = '0' + number % 10;
	return at;
}

static inline char *put_prefix(char *at, const struct flat *flat)
{
	at = stpcpy(at, "allowed_ip=");
	if (flat->family == AF_INET) {
		for (int i = 0; i < 4; i++) {
			at = put_number(at, flat->address[i]);
			*at++ = i < 3 ? '.' : '/';
		}
	} else {
		inet_ntop(AF_INET6, flat->address, at, INET6_ADDRSTRLEN);
		at += strlen(at);
		*at++ = '/';
	}
	at = put_number(at, flat->length);
	*at++ = '\n';
	return at;
}

#endif
