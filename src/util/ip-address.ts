/**
 * IP addresses and ranges of them. Both families are one number of 128 bits: an IPv4 address is the IPv6 address that maps
 * it (RFC 4291 2.5.5.2), and so is one that a translator (64:ff9b::/96, RFC 6052) leads to, so no spelling gets past a range.
 */
export interface IpRange {
  /** As it was written. */
  readonly text: string;
  readonly first: bigint;
  readonly last: bigint;
}

const BITS = 128;
const MAPPED = 0xffffn << 32n;
const TRANSLATED = 0x64ff9bn << 96n;
const IPV4_MASK = 0xffff_ffffn;

/** Null when `text` is no address in dotted or colon notation. A zone (`%eth0`) does not count. */
export function parseIp(text: string): bigint | null {
  const plain = text.replace(/%.*$/, '');
  const value = plain.includes(':') ? parseIpv6(plain) : parseIpv4(plain);
  if (value === null) return null;
  if (!plain.includes(':')) return MAPPED | value;
  return value - (value & IPV4_MASK) === TRANSLATED ? MAPPED | (value & IPV4_MASK) : value;
}

/** `10.0.0.0/8`, `fe80::/10` or one address; null when `text` is none. */
export function parseIpRange(text: string): IpRange | null {
  const [address = '', length, ...rest] = text.split('/');
  const value = parseIp(address);
  if (value === null || rest.length > 0) return null;
  const isV4 = !address.includes(':');
  const prefix = length === undefined ? (isV4 ? 32 : BITS) : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (prefix < 0 || prefix > (isV4 ? 32 : BITS)) return null;
  const hostBits = BigInt((isV4 ? 32 : BITS) - prefix);
  const first = (value >> hostBits) << hostBits;
  return { text, first, last: first + (1n << hostBits) - 1n };
}

export function isInRange(address: bigint, { first, last }: IpRange): boolean {
  return first <= address && address <= last;
}

function parseIpv4(text: string): bigint | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | null {
  const [head = '', tail, ...rest] = text.split('::');
  if (rest.length > 0) return null;
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const groups = [...before, ...Array.from({ length: missing }, () => 0n), ...after];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

/** The last group may be an IPv4 address. */
function groupsOf(text: string): bigint[] | null {
  if (text === '') return [];
  const groups: bigint[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else {
      const last = index === parts.length - 1 ? parseIpv4(part) : null;
      if (last === null) return null;
      groups.push(last >> 16n, last & 0xffffn);
    }
  }
  return groups;
}
