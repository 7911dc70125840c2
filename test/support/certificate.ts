import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * Writes a self-signed certificate for loopback and documents.example, and its key; takes about 50 ms.
 * Its common name tells one certificate from another.
 */
export async function makeCertificate(
  certificateFile: string,
  keyFile: string,
  commonName = 'test',
): Promise<void> {
  const names = 'subjectAltName=DNS:localhost,DNS:documents.example,IP:127.0.0.1'
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-subj', `/CN=${commonName}`, '-addext', names]
  const files = ['-keyout', keyFile, '-out', certificateFile]
  await promisify(execFile)('openssl', [
    'req',
    '-x509',
    ...kind,
    '-days',
    '2',
    ...subject,
    ...files,
  ])
}
