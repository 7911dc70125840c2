/** Opens everything that the settings point to, and reports which of them is wrong. */

import type { Config } from '../config/config.ts'
import { checkCertificate, checkPricesFile } from '../config/setting-files.ts'
import { checkAddresses } from './check-addresses.ts'
import { checkDatabase } from './check-database.ts'
import { checkProxies, checkRedis, checkUpstream } from './check-outside.ts'
import type { Finding } from './finding.ts'

/** Returns undefined where the setting is not set. Never throws. */
type Look = (config: Config) => Promise<Finding | undefined>

const LOOKS: readonly Look[] = [
  ofFile('PRICES_FILE', (config) => config.chat.pricesFile, checkPricesFile),
  ofFile('TLS_CERT_FILE', (config) => config.http.tls, checkCertificate),
  checkDatabase,
  checkRedis,
  (config) => checkProxies(config, 'HTTPS_PROXY'),
  (config) => checkProxies(config, 'HTTP_PROXY'),
  checkUpstream,
  checkAddresses,
]

const SETTING_WIDTH = 20
const STATE_WIDTH = 9

/** Prints each finding as soon as it is known. @returns whether nothing is wrong. */
export async function check(config: Config, print: (line: string) => void): Promise<boolean> {
  let isWell = true
  for (const look of LOOKS) {
    const finding = await look(config)
    if (!finding) continue
    const { setting, state, words } = finding
    print(`${state.padEnd(STATE_WIDTH)}${setting.padEnd(SETTING_WIDTH)}${words}`)
    isWell &&= state !== 'wrong'
  }
  return isWell
}

function ofFile<T>(
  setting: string,
  valueIn: (config: Config) => T | undefined,
  lookAt: (value: T) => void,
): Look {
  return async (config) => {
    const value = valueIn(config)
    if (value === undefined) return undefined
    try {
      lookAt(value)
      return { setting, state: 'ok', words: 'can be read' }
    } catch (error) {
      const words = (error as Error).message.replace(`${setting}: `, '')
      return { setting, state: 'wrong', words }
    }
  }
}
