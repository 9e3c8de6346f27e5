/** What each mechanism says and hears, against the examples of the RFCs and servers that break the rules. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { SecretError } from './errors.ts';
import { exchange } from './sasl.ts';
import { SaslError, scram } from './sasl-scram.ts';
import type { Sasl, SaslCredentials } from './security.ts';

/** Answers as it is told to, and keeps what was said. */
function server(answers: readonly (string | Error)[]): { said: string[]; say: (message: Buffer) => Promise<Buffer> } {
  const said: string[] = [];
  const left = [...answers];
  const say = async (message: Buffer): Promise<Buffer> => {
    said.push(message.toString());
    const answer = must(left.shift(), 'an answer');
    if (answer instanceof Error) throw answer;
    return Buffer.from(answer);
  };
  return { said, say };
}

/** The example of RFC 7677 3. */
const rfc7677 = {
  hash: 'sha256',
  username: 'user',
  password: 'pencil',
  nonce: 'rOprNGfwEbeRWgbNEkqO',
} as const;
const challenge = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';
const signature = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

describe('SCRAM', () => {
  test('says what the example of RFC 7677 says', async () => {
    const { said, say } = server([challenge, signature]);
    await scram({ ...rfc7677, say });
    expect(said).toEqual([
      'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    ]);
  });

  test('with SHA-512 proves the password to a server that computes by itself', async () => {
    const salt = Buffer.from('salt of a server');
    const said: string[] = [];
    const say = async (message: Buffer): Promise<Buffer> => {
      said.push(message.toString());
      const first = `r=ours+theirs,s=${salt.toString('base64')},i=5000`;
      if (said.length === 1) return Buffer.from(first);
      const [, bare = '', proof = ''] = /^(.*),p=(.*)$/.exec(message.toString()) ?? [];
      const hmac = (key: Buffer, text: string) => createHmac('sha512', key).update(text).digest();
      const salted = pbkdf2Sync('päss,=word', salt, 5000, 64, 'sha512');
      const text = `n=a=2Cb=3Dc,r=ours,${first},${bare}`;
      const stored = createHash('sha512').update(hmac(salted, 'Client Key')).digest();
      const key = Buffer.from(proof, 'base64').map((byte, i) => byte ^ must(hmac(stored, text)[i], 'byte'));
      expect(createHash('sha512').update(key).digest()).toEqual(stored);
      return Buffer.from(`v=${hmac(hmac(salted, 'Server Key'), text).toString('base64')}`);
    };
    await scram({ hash: 'sha512', username: 'a,b=c', password: 'päss,=word', nonce: 'ours', say });
    expect(said[0]).toBe('n,,n=a=2Cb=3Dc,r=ours');
  });

  test.each([
    ['a server that does not know the password', [challenge, signature.replace('6', '7')], 'its signature is wrong'],
    ['a server that says nothing at the end', [challenge, ''], 'its signature is wrong'],
    ['an error at the end', [challenge, 'e=other-error'], 'it answered "other-error"'],
    ['a nonce that is not ours', [challenge.replace('rOpr', 'XXXX')], 'does not continue ours'],
    ['a nonce that adds nothing', ['r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096'], 'does not continue ours'],
    ['too few iterations', [challenge.replace('4096', '4095')], 'it asks for 4095 iterations'],
    ['too many iterations', [challenge.replace('4096', '1000001')], 'it asks for 1000001 iterations'],
    ['a mandatory extension', [`m=ext,${challenge}`], 'cannot be read'],
    ['no salt', [challenge.replace('W22ZaJ0SNY7soEsUEjb6gQ==', '')], 'cannot be read'],
    ['nothing', [''], 'cannot be read'],
  ])('refuses %s', async (_, answers, message) => {
    const { say } = server(answers);
    await expect(scram({ ...rfc7677, say })).rejects.toThrow(SaslError);
    await expect(scram({ ...rfc7677, say: server(answers).say })).rejects.toThrow(message);
  });

  test.each([
    'a\u00A0b', // no-break space: mapped to a space
    'I\u00ADX', // soft hyphen: mapped to nothing (RFC 4013 3)
    '\u00AA', // NFKC makes it a (RFC 4013 3)
    '\u2168', // NFKC makes it IX (RFC 4013 3)
    '\u0007', // prohibited (RFC 4013 3)
    'a\u0308', // composed by NFKC
    '\uE000', // private use
  ])('refuses %j, which SASLprep changes or forbids, without saying it', async (password) => {
    const { said, say } = server([]);
    const failure = scram({ ...rfc7677, password, say });
    await expect(failure).rejects.toThrow(SecretError);
    await expect(failure).rejects.toThrow('SASLprep');
    await expect(failure).rejects.not.toThrow(password);
    expect(said).toEqual([]);
  });

  test.each(['päß €', '密码', '🔑 and spaces'])('takes %j as it is', async (password) => {
    const { said, say } = server([challenge, signature]);
    await expect(scram({ ...rfc7677, password, say })).rejects.toThrow('its signature is wrong');
    expect(said).toHaveLength(2);
  });
});

function login(mechanism: Sasl['mechanism'], credentials: SaslCredentials, answers: readonly (string | Error)[]) {
  const { said, say } = server(answers);
  const sasl: Sasl = {
    mechanism,
    credentials: () => Promise.resolve(credentials),
    refused: () => {},
    nonce: () => 'rOprNGfwEbeRWgbNEkqO',
    random: { next: () => 0 },
    onTrouble: () => {},
  };
  return { said, done: exchange(sasl, credentials, say) };
}

describe('PLAIN', () => {
  test('sends user name and password in one message (RFC 4616)', async () => {
    const { said, done } = login('PLAIN', { username: 'tim', password: 'tanstaaftanstaaf' }, ['']);
    await done;
    expect(said).toEqual(['\0tim\0tanstaaftanstaaf']);
  });

  test('refuses what would end the message in the middle', async () => {
    await expect(login('PLAIN', { username: 'tim', password: 'a\0b' }, []).done).rejects.toThrow(SecretError);
  });
});

describe('OAUTHBEARER', () => {
  const token = { token: 'vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==', extensions: { logicalCluster: 'lkc-1' } };

  test('sends token and extensions (RFC 7628 3.1, KIP-342)', async () => {
    const { said, done } = login('OAUTHBEARER', token, ['']);
    await done;
    expect(said).toEqual([`n,,\u0001auth=Bearer ${token.token}\u0001logicalCluster=lkc-1\u0001\u0001`]);
  });

  test('answers the refusal with %x01 and says the status that was given', async () => {
    const refusal = new SaslError('the broker answered SASL_AUTHENTICATION_FAILED (58)');
    const { said, done } = login('OAUTHBEARER', token, ['{"status":"invalid_token\\n"}', refusal]);
    await expect(done).rejects.toThrow(/^it refused the token: invalid_token$/);
    expect(said[1]).toBe('\u0001');
  });

  test('does not believe a server that refuses the token and goes on', async () => {
    const { done } = login('OAUTHBEARER', token, ['no JSON', '']);
    await expect(done).rejects.toThrow('then did not end the login');
  });

  test('refuses tokens and extensions that would end the message in the middle', async () => {
    for (const bad of [
      { token: 'a\u0001b', extensions: {} },
      { token: 'a b', extensions: {} },
      { token: 'ok', extensions: { auth: 'x' } },
      { token: 'ok', extensions: { a1: 'x' } },
      { token: 'ok', extensions: { a: 'x\u0001' } },
    ]) {
      const { said, done } = login('OAUTHBEARER', bad, ['']);
      await expect(done).rejects.toThrow(SecretError);
      expect(said).toEqual([]);
    }
  });
});
