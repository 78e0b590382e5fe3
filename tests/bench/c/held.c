/*
 * For the check at the end: who holds which prefix on a wireguard-go device.
 * held SOCKET PEERS OUT: writes a flat file.
 */
#include "uapi.h"

static uint8_t digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint16_t peer_of_key(const struct peer *peers, size_t count, const char *text)
{
	uint8_t key[32];
	for (int i = 0; i < 32; i++)
		key[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
	for (size_t i = 0; i < count; i++)
		if (!memcmp(peers[i].key, key, 32))
			return i;
	return NO_PEER;
}

int main(int argc, char **argv)
{
	char line[512];
	size_t count;
	struct flat flat = { .peer = NO_PEER };
	if (argc != 4)
		return 2;
	const struct peer *peers = map_file(argv[2], sizeof *peers, &count, 0);
	int fd = uapi_open(argv[1]);
	write_all(fd, "get=1\n\n", 7);
	FILE *in = fdopen(fd, "r"), *out = fopen(argv[3], "w");
	if (!in || !out)
		die(argv[3]);
	while (fgets(line, sizeof line, in) && *line != '\n') {
		char *value = strchr(line, '='), *slash;
		if (!value)
			return 2;
		*value++ = 0;
		if (!strcmp(line, "public_key"))
			flat.peer = peer_of_key(peers, count, value);
		if (strcmp(line, "allowed_ip") || !(slash = strchr(value, '/')))
			continue;
		*slash = 0;
		memset(flat.address, 0, sizeof flat.address);
		flat.family = strchr(value, ':') ? AF_INET6 : AF_INET;
		flat.length = atoi(slash + 1);
		inet_pton(flat.family, value, flat.address);
		fwrite(&flat, sizeof flat, 1, out);
	}
	return fclose(out) ? 2 : 0;
}
