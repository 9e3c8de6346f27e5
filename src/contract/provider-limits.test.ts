import { expect, test } from 'vitest';
import { parseDocuments } from './documents.ts';
import { AppError } from './errors.ts';
import { limitFindings, withLimits } from './provider-limits.ts';
import { providerNames, providers } from './providers.ts';

test('the plan names what a provider is known to lack, and where that is said', () => {
  const spec = { bootstrap: ['a:1'], provider: 'azure', security: { password: { env: 'CONNECTION' } } };
  const text = JSON.stringify({ apiVersion: 'lockstep/v1', kind: 'Cluster', metadata: { name: 'hub' }, spec });
  const findings = parseDocuments([{ path: 'c.yaml', text }]).clusters.flatMap(limitFindings);
  expect(findings).toContainEqual({
    code: 'CLUSTER_SETTING_UNFIT',
    severity: 'warning',
    message: expect.stringMatching(/^Cluster "hub" \(provider azure\): Event Hubs has no WriteTxnMarkers/),
    nextStep: 'See https://github.com/Azure/azure-event-hubs-for-kafka/issues/209',
  });
});

test('a request that is not spoken there is explained by it, and no other error is', () => {
  const unsupported = new AppError('CLUSTER_API_UNSUPPORTED', 'no Metadata 12', { nextStep: 'Use Kafka 3.5.' });
  expect(withLimits(unsupported, 'azure')).toMatchObject({
    message: 'no Metadata 12',
    nextStep: expect.stringContaining('Lockstep needs Fetch 13 and Metadata 12'),
  });
  expect(withLimits(unsupported, 'plain')).toBe(unsupported);
  const unreachable = new AppError('CLUSTER_UNREACHABLE', 'x');
  expect(withLimits(unreachable, 'azure')).toBe(unreachable);
});

test('every limit says where it is known from', () => {
  for (const { fact, source } of providerNames.flatMap((name) => providers[name].limits)) {
    expect(fact).toMatch(/\.$/);
    expect(source).toMatch(/^https:\/\//);
  }
});
