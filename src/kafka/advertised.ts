/**
 * Which addresses of brokers may be connected to. A bootstrap address is the choice of whoever wrote the file; all others are
 * the word of a broker, which could send us, and with us the credentials of the cluster, to any service that we can reach.
 */
import { must } from '#util/assert.ts';
import { isInRange, parseIp, parseIpRange, type IpRange } from '#util/ip-address.ts';

export interface AdvertisedRules {
  /** Ranges that are never connected to: `10.0.0.0/8`, `fe80::/10`, or one address. */
  readonly deny: readonly string[];
  /** If there are any, nothing else is connected to, and what is refused without rules may be among them. */
  readonly allow: readonly string[];
}

const LOOPBACK = rangesOf({ 'the loopback address': ['127.0.0.0/8', '::1'] });

/** No broker that others reach is there, and services are that give out credentials to whoever asks from this machine. */
const REFUSED = rangesOf({
  'no address of a machine': ['0.0.0.0/8', '::'],
  'a link-local address': ['169.254.0.0/16', 'fe80::/10'],
  "the address of a cloud's metadata service": ['fd00:ec2::254', '100.100.100.200', '168.63.129.16'],
  'a multicast address': ['224.0.0.0/4', 'ff00::/8'],
  'a reserved address': ['240.0.0.0/4'],
});

/**
 * A function that says what speaks against connecting to an address, null for nothing. The loopback address is refused
 * unless one of the bootstrap hosts is one: a broker elsewhere that advertises it means itself, and would lead to us.
 */
export function createAddressCheck(
  rules: AdvertisedRules,
  bootstrapHosts: readonly string[],
): (address: string) => string | null {
  const deny = rules.deny.map((text) => must(parseIpRange(text), `range ${text}`));
  const allow = rules.allow.map((text) => must(parseIpRange(text), `range ${text}`));
  const refused = bootstrapHosts.some(isLoopback) ? REFUSED : [...LOOPBACK, ...REFUSED];
  return (address) => {
    const ip = parseIp(address);
    if (ip === null) return `a broker is advertised at ${address}, which is no IP address`;
    const denied = deny.find((range) => isInRange(ip, range));
    if (denied) return `a broker is advertised at ${address}, which advertised.deny holds (${denied.text})`;
    if (allow.some((range) => isInRange(ip, range))) return null;
    if (allow.length > 0) return `a broker is advertised at ${address}, which advertised.allow does not hold`;
    const reason = refused.find(({ range }) => isInRange(ip, range));
    return reason ? `a broker is advertised at ${address}, ${reason.what} (${reason.range.text})` : null;
  };
}

function isLoopback(host: string): boolean {
  const ip = parseIp(host);
  return ip === null ? /^localhost\.?$/i.test(host) : LOOPBACK.some(({ range }) => isInRange(ip, range));
}

function rangesOf(texts: Readonly<Record<string, readonly string[]>>): { what: string; range: IpRange }[] {
  return Object.entries(texts).flatMap(([what, ranges]) =>
    ranges.map((text) => ({ what, range: must(parseIpRange(text), `range ${text}`) })),
  );
}
