/* wireguard-go's socket: requests of AllowedIPs as text, their replies, and reading. */
#ifndef UAPI_H
#define UAPI_H

#include "request.h"
#include <arpa/inet.h>
#include <sys/un.h>

static int uapi;

static inline void uapi_open(const char *path)
{
	struct sockaddr_un there = { .sun_family = AF_UNIX };
	strncpy(there.sun_path, path, sizeof there.sun_path - 1);
	uapi = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (uapi < 0 || connect(uapi, (struct sockaddr *)&there, sizeof there) < 0)
		die(path);
}

static inline int uapi_takes(const uint8_t *some_peer)
{
	(void)some_peer;
	return 0; /* wireguard-go 0.0.20220316 does not */
}

static inline void uapi_start(struct request *request, uint32_t flags)
{
	request->at = stpcpy(request->at, flags & WGDEVICE_F_REPLACE_PEERS ? "set=1\nreplace_peers=true\n" : "set=1\n");
}

static inline void uapi_peer(struct request *request, const uint8_t *key, uint32_t flags)
{
	char *at = stpcpy(request->at, "public_key=");
	for (int i = 0; i < 32; i++) {
		*at++ = "0123456789abcdef"[key[i] >> 4];
		*at++ = "0123456789abcdef"[key[i] & 15];
	}
	request->at = stpcpy(at, flags & WGPEER_F_REMOVE_ME ? "\nremove=true\n" : "\n");
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

static inline void uapi_prefix(struct request *request, const struct flat *flat, int take)
{
	char *at = stpcpy(request->at, take ? "allowed_ip=-" : "allowed_ip=");
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
	request->at = at;
}

static inline void uapi_send(struct request *request)
{
	*request->at++ = '\n';
	write_all(uapi, request->text, request->at - request->text);
}

static inline void uapi_reply(void)
{
	static const char fine[] = "errno=0\n\n";
	char answer[64];
	size_t have = 0;
	while (have < 2 || memcmp(answer + have - 2, "\n\n", 2)) {
		ssize_t got = read(uapi, answer + have, sizeof answer - have);
		if (got <= 0)
			die("reply");
		have += got;
	}
	if (have != sizeof fine - 1 || memcmp(answer, fine, have)) {
		fprintf(stderr, "wireguard-go refused: %.*s", (int)have, answer);
		exit(1);
	}
}

static inline uint8_t digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static inline void uapi_read(each_held *each)
{
	char line[512];
	uint8_t key[32] = { 0 };
	struct flat flat = { .peer = NO_PEER };
	write_all(uapi, "get=1\n\n", 7);
	FILE *in = fdopen(uapi, "r");
	if (!in)
		die("get");
	while (fgets(line, sizeof line, in) && *line != '\n') {
		char *value = strchr(line, '='), *slash;
		if (!value)
			die("an answer without a value");
		*value++ = 0;
		if (!strcmp(line, "public_key"))
			for (int i = 0; i < 32; i++)
				key[i] = digit(value[2 * i]) << 4 | digit(value[2 * i + 1]);
		if (strcmp(line, "allowed_ip") || !(slash = strchr(value, '/')))
			continue;
		*slash = 0;
		memset(flat.address, 0, sizeof flat.address);
		flat.family = strchr(value, ':') ? AF_INET6 : AF_INET;
		flat.length = atoi(slash + 1);
		inet_pton(flat.family, value, flat.address);
		each(key, &flat);
	}
}

static const struct speech uapi_speech = {
	.limit = SIZE_MAX,
	.open = uapi_open,
	.takes = uapi_takes,
	.start = uapi_start,
	.peer = uapi_peer,
	.prefix = uapi_prefix,
	.send = uapi_send,
	.reply = uapi_reply,
	.read = uapi_read,
};

#endif
