/** Where the server connects to on the word of others: never to what only this machine or its cloud can reach. */
import { isInRange, parseIp, parseIpRange } from '#util/ip-address.ts';
import { must } from '#util/assert.ts';

const rangesOf = (texts: readonly string[]) => texts.map((text) => must(parseIpRange(text), `range ${text}`));

/** No service is meant to be there: metadata services of clouds give out credentials to whoever asks. */
const NEVER = rangesOf([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200',
  '168.63.129.16',
  '224.0.0.0/3',
  '::',
  'fe80::/10',
  'fd00:ec2::254',
  'ff00::/8',
]);

const PRIVATE = rangesOf([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::1',
  'fc00::/7',
]);

/** A function that says what speaks against connecting to an address, null for nothing. */
export function outboundCheck({
  mayBePrivate,
}: {
  readonly mayBePrivate: boolean;
}): (address: string) => string | null {
  const refused = mayBePrivate ? NEVER : [...NEVER, ...PRIVATE];
  return (address) => {
    const ip = parseIp(address);
    if (ip === null) return `${address} is no IP address`;
    const range = refused.find((each) => isInRange(ip, each));
    return range ? `${address} is within ${range.text}, which is not connected to` : null;
  };
}
