/** Names in client certificates that stand for users. */
import { formatMoment, formatRows } from '../../format.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { needed } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

export const listUserCertificates: Verb<RemoteOptions> = remoteVerb({
  summary: 'show which names in client certificates stand for a user',
  examples: ['lockstep certificates list deployer'],
  async run({ api }, _, [username = '']) {
    const certificates = await api.call('listCertificates', { params: { username } });
    const rows = certificates.map((each) => [
      each.id,
      each.subject,
      each.fingerprint ?? 'any of a trusted authority',
      each.revokedAt === null ? 'good' : `revoked ${formatMoment(each.revokedAt)}`,
      formatMoment(each.lastUsedAt),
    ]);
    return {
      json: { certificates },
      lines: formatRows(['ID', 'NAME', 'CERTIFICATE', 'STATE', 'LAST USED'], rows, 'certificates'),
    };
  },
});

interface AddOptions extends RemoteOptions {
  readonly subject?: string;
  readonly fingerprint?: string;
}

export const addUserCertificate: Verb<AddOptions> = remoteVerb({
  summary: 'let a name in client certificates stand for a user',
  examples: ['lockstep certificates add deployer --subject URI:spiffe://example/deployer'],
  options: {
    '--subject <name>': 'DNS:…, URI:… or email:… of the certificate',
    '--fingerprint <sha256>': 'only this certificate; without it any of a trusted authority that has the name',
  },
  async run({ api }, { subject, fingerprint }, [username = '']) {
    needed({ '--subject': subject });
    const certificate = await api.call('addCertificate', {
      params: { username },
      body: { subject: subject ?? '', fingerprint: fingerprint?.replaceAll(':', '').toLowerCase() ?? null },
    });
    return { json: { certificate }, lines: [`${certificate.subject} stands for ${username}`] };
  },
});

export const revokeUserCertificate: Verb<RemoteOptions> = remoteVerb({
  summary: 'let a name in client certificates stand for nobody',
  examples: ['lockstep certificates revoke ID'],
  async run({ api }, _, [id = '']) {
    await api.call('revokeCertificate', { params: { id } });
    return { json: { id, revoked: true }, lines: [`${id} is revoked`] };
  },
});
