/** How a request came: over TLS or not, and from where. */
import { isInRange, parseIp, parseIpRange } from '#util/ip-address.ts';
import { must } from '#util/assert.ts';

const LOOPBACK = ['127.0.0.0/8', '::1'].map((text) => must(parseIpRange(text), text));

/** Of a request; empty where whoever sent it has gone already. */
export function addressOf(request: { readonly ip: string | undefined }): string {
  return request.ip ?? '';
}

/** An address of this machine: what is sent to it passes nobody. */
export function isLoopback(address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && LOOPBACK.some((range) => isInRange(ip, range));
}

export function isWithin(address: string, ranges: readonly string[]): boolean {
  const ip = parseIp(address);
  return ip !== null && ranges.some((text) => isInRange(ip, must(parseIpRange(text), `range ${text}`)));
}

/** Whoever has one IPv6 address has 2^64 of them: they count as one. */
export function addressKey(address: string): string {
  const ip = parseIp(address);
  if (ip === null) return 'unknown';
  return ip >> 32n === 0xffffn ? address : `${(ip >> 64n).toString(16)}/64`;
}
