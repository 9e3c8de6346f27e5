/** `bootstrap.servers` as `bootstrap` of a Cluster. */
import { REPLACE_ME } from './security-text.ts';
import { listOf } from './java/properties.ts';
import type { Report, Setting } from './report.ts';
import { hasVariable } from './secret-values.ts';

/** As org.apache.kafka.common.utils.Utils takes an address: a protocol in front says nothing. */
const ADDRESS = /^(?:[0-9a-zA-Z\-%._]*:\/\/)?(\[[0-9a-fA-F:.]+\]|[^\s:/[\],]+):(\d{1,5})$/;

/** Where there is no address, one that leads nowhere stands in its place, with a step. */
export function bootstrapOf(setting: Setting | undefined, cluster: string, report: Report): string[] {
  const to = `Cluster ${cluster}: spec.bootstrap`;
  const nowhere = `${REPLACE_ME}.invalid:9092`;
  const step = `Write the addresses of ${cluster} in place of ${nowhere}.`;
  if (setting === undefined) {
    report.tellDefault(`${cluster}: no file says where it is. ${step}`);
    return [nowhere];
  }
  const parts = hasVariable(setting.value) ? [] : listOf(setting.value);
  const addresses = parts.flatMap((part) => addressOf(part) ?? []);
  const isWhole = parts.length > 0 && addresses.length === parts.length;
  report.tell(setting, isWhole ? 'exact' : 'no-equal', {
    to,
    note: isWhole ? undefined : 'Not everything in it is an address host:port.',
    step: isWhole
      ? undefined
      : addresses.length > 0
        ? `See that bootstrap of ${cluster} has all addresses that it needs.`
        : step,
  });
  return addresses.length > 0 ? addresses : [nowhere];
}

function addressOf(text: string): string | null {
  const [, host, port] = ADDRESS.exec(text) ?? [];
  return host === undefined || Number(port) < 1 || Number(port) > 65_535 ? null : `${host}:${port}`;
}

/** Who runs brokers at such addresses, where the login is one that it takes. */
export function providerOf(bootstrap: readonly string[], mechanism: string | undefined): string | null {
  const isAt = (pattern: RegExp): boolean => bootstrap.every((address) => pattern.test(address));
  if (isAt(/\.confluent\.cloud:\d+$/) && isOneOf(mechanism, ['PLAIN', 'OAUTHBEARER'])) return 'confluent';
  if (isAt(/\.servicebus\.windows\.net:\d+$/) && isOneOf(mechanism, ['PLAIN', 'OAUTHBEARER'])) return 'azure';
  return isAt(/\.kafka(?:-serverless)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?:\d+$/) && mechanism === 'SCRAM-SHA-512'
    ? 'msk'
    : null;
}

function isOneOf(mechanism: string | undefined, mechanisms: readonly string[]): boolean {
  return mechanism !== undefined && mechanisms.includes(mechanism);
}
