import { describe, expect, test } from 'vitest'
import { readMedia } from './media.ts'
import { ConfigError, ConfigReader, type Environment } from './reader.ts'

const BUCKET = {
  S3_BUCKET: 'rowhouse-media',
  S3_REGION: 'eu-central-1',
  S3_ACCESS_KEY_ID: 'AKIAEXAMPLE',
  S3_SECRET_ACCESS_KEY: 'a-secret-that-is-not-told',
}

function read(env: Environment) {
  const reader = new ConfigReader(env)
  const media = readMedia(reader, '/data')
  reader.finish()
  return media
}

function problemsOf(env: Environment): readonly string[] {
  try {
    read(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('media files', () => {
  test('are kept in the data directory where no bucket is named', () => {
    expect(read({ S3_BUCKET: ' ' })).toEqual({ kind: 'disk', directory: '/data/media' })
  })

  test('are kept in a bucket of Amazon’s, or of an endpoint', () => {
    const bucket = {
      kind: 's3',
      bucket: 'rowhouse-media',
      region: 'eu-central-1',
      accessKeyId: 'AKIAEXAMPLE',
      secretAccessKey: 'a-secret-that-is-not-told',
    }
    expect(read(BUCKET)).toEqual({ ...bucket, endpoint: null })
    const endpoint = 'http://minio.internal:9000'
    expect(read({ ...BUCKET, S3_ENDPOINT: `${endpoint}/` })).toEqual({ ...bucket, endpoint })
  })

  test.each(Object.keys(BUCKET))('are kept nowhere without %s', name => {
    const problems = problemsOf({ ...BUCKET, [name]: '' })
    expect(problems).toEqual([expect.stringContaining(`${name} is missing, and S3_`)])
    expect(problems.join()).not.toContain(BUCKET.S3_SECRET_ACCESS_KEY)
  })

  test('are not kept behind an endpoint alone', () => {
    expect(problemsOf({ S3_ENDPOINT: 'https://minio.example.com' })).toHaveLength(4)
  })

  test.each([
    ['S3_ENDPOINT', 'minio.example.com'],
    ['S3_ENDPOINT', 'https://minio.example.com/path'],
    ['S3_BUCKET', 'Not A Bucket'],
    ['S3_BUCKET', '../etc'],
    ['S3_REGION', 'eu central'],
  ])('are not kept where %s is %j', (name, value) => {
    expect(problemsOf({ ...BUCKET, [name]: value })).toEqual([
      expect.stringMatching(new RegExp(`^${name} must`)),
    ])
  })
})
