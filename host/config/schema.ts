// The gateway's settings: the one place that says which there are, what they may be, what they mean and what they default to.
// Validation, types, docs/settings.md and the file that `metertime init` writes all come from here.
import { z } from 'zod';
import { LinkUrlError, parseLinkUrl } from '../link/link-url.ts';
import { ocmfSchema } from './ocmf-schema.ts';
import { fileSetting as file, settingMeta as meta, settingsRule as rule } from './setting-meta.ts';

export { type SettingMeta, settingMeta } from './setting-meta.ts';

const topicLevel = /^[A-Za-z0-9._-]+$/;

const link = z
  .string()
  .superRefine((text, context) => {
    try {
      parseLinkUrl(text);
    } catch (error) {
      if (!(error instanceof LinkUrlError)) throw error;
      context.addIssue({ code: 'custom', message: error.expected });
    }
  })
  .meta(meta({ description: 'URL of a link.' }));

const brokerProtocols = ['mqtt:', 'mqtts:', 'ws:', 'wss:'];

const brokerUrl = z.string().superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: 'custom', message });
  if (!URL.canParse(text)) return refuse('expected a URL such as mqtt://localhost:1883 or mqtts://broker.example:8883');
  const url = new URL(text);
  if (!brokerProtocols.includes(url.protocol)) return refuse('expected a URL that begins with mqtt, mqtts, ws or wss');
  if (url.hostname === '') return refuse('expected a host after the //');
  if (url.port === '0') return refuse('expected a port from 1 to 65535');
  if (url.username !== '' || url.password !== '') {
    return refuse(
      'expected no user and no password in the URL; they have settings of their own: username, passwordFile',
    );
  }
  if (
    url.protocol.startsWith('mqtt') &&
    (url.pathname.replace('/', '') !== '' || url.search !== '' || url.hash !== '')
  ) {
    return refuse('expected nothing after host and port');
  }
});

const usesTls = (url: unknown) => /^(mqtts|wss):/.test(String(url));

const mqtt = z
  .strictObject({
    url: brokerUrl.meta(
      meta({
        description:
          'Where the broker is: mqtt:// (no TLS), mqtts:// (TLS), ws:// or wss:// (WebSocket). It must speak MQTT 5.',
        example: 'mqtts://broker.example:8883',
      }),
    ),
    username: z
      .string()
      .min(1)
      .optional()
      .meta(meta({ description: 'User name for the broker.', example: 'gateway-1' })),
    passwordFile: file({
      description:
        'File that holds the password, one line; read at each connection, so it can be replaced at any time.',
      example: '/etc/metertime/mqtt-password',
    }).optional(),
    password: z
      .string()
      .min(1)
      .optional()
      .meta(meta({ description: 'The password itself; better is passwordFile.', secret: true, example: '...' })),
    caFile: file({
      description: 'Certificates (PEM) that the broker may be signed by, instead of those of the system.',
      example: '/etc/metertime/broker-ca.pem',
    }).optional(),
    certFile: file({
      description: 'Certificate (PEM) that the gateway shows to the broker; with keyFile.',
      example: '/etc/metertime/client.pem',
    }).optional(),
    keyFile: file({
      description: 'Private key (PEM) for certFile.',
      example: '/etc/metertime/client.key',
    }).optional(),
    clientId: z
      .string()
      .regex(/^[\x21-\x7e]{1,64}$/, { error: 'expected 1 to 64 printable characters without spaces' })
      .optional()
      .meta(
        meta({
          description: 'MQTT client identifier; each client of a broker needs one of its own.',
          defaultText: 'metertime-NAME',
          example: 'metertime-gateway-1',
        }),
      ),
    keepAliveSeconds: z
      .int()
      .min(5)
      .max(3600)
      .default(30)
      .meta(
        meta({ description: 'After this long without a sign of life, broker and gateway hold each other for lost.' }),
      ),
    willDelaySeconds: z
      .int()
      .min(0)
      .max(3600)
      .default(5)
      .meta(
        meta({
          description:
            'The broker says that the gateway is offline when it has been lost for this long; 0 says so at once.',
        }),
      ),
    topicPrefix: z
      .string()
      .regex(/^(?!\$)[^+#/\p{Cc}]+(\/[^+#/\p{Cc}]+)*$/u, {
        error: 'expected levels with a / between them, none empty, without + and #, that do not begin with $',
      })
      .max(128)
      .default('metertime')
      .meta(meta({ description: 'First levels of all topics: PREFIX/NAME/METER/time and so on.' })),
    timeExpirySeconds: z
      .int()
      .min(10)
      .max(604_800)
      .default(900)
      .meta(
        meta({
          description:
            "The broker forgets a meter's time and tariff this long after they were made, so that no stale one is ever read.",
        }),
      ),
    commands: z
      .boolean({ error: 'expected true or false' })
      .default(true)
      .meta(
        meta({
          description:
            'Whether commands to meters are taken from the broker: tariffs, release of the logbook, questions for records. Who may send them is for its access list to say.',
        }),
      ),
    updates: z
      .string({ error: 'expected a folder' })
      .min(1)
      .optional()
      .meta(
        meta({
          description: 'Folder of updates of the software (metertime update): the command update names a file in it.',
          example: '/var/lib/metertime/updates',
          defaultText: 'none: the command update is refused',
        }),
      ),
    homeAssistant: z
      .union(
        [
          z.boolean(),
          z
            .string()
            .regex(/^(?!\$)[^+#/\p{Cc}]+(\/[^+#/\p{Cc}]+)*$/u)
            .max(128),
        ],
        { error: 'expected true, false, or the first levels of the topics, without + and #' },
      )
      .default(false)
      .meta(
        meta({
          description:
            'Whether Home Assistant is told of the meters (MQTT discovery); another prefix than homeassistant is given as a text. Switched off, it is told to forget them.',
        }),
      ),
    recordFormat: z
      .enum(['json', 'cbor'])
      .default('json')
      .meta(
        meta({
          description:
            "How records and heads are published: json, or cbor, which has the meter's bytes as a byte string.",
        }),
      ),
  })
  .refine(
    (mqtt) => mqtt.password === undefined || mqtt.passwordFile === undefined,
    rule('password', 'expected either password or passwordFile, not both'),
  )
  .refine(
    (mqtt) => mqtt.username !== undefined || mqtt.passwordFile === undefined,
    rule('passwordFile', 'expected username beside it'),
  )
  .refine(
    (mqtt) => mqtt.username !== undefined || mqtt.password === undefined,
    rule('password', 'expected username beside it'),
  )
  .refine(
    (mqtt) => mqtt.certFile === undefined || mqtt.keyFile !== undefined,
    rule('certFile', 'expected keyFile beside it'),
  )
  .refine(
    (mqtt) => mqtt.keyFile === undefined || mqtt.certFile !== undefined,
    rule('keyFile', 'expected certFile beside it'),
  )
  .refine(
    (mqtt) => mqtt.caFile === undefined || usesTls(mqtt.url),
    rule('caFile', 'expected a url that begins with mqtts or wss beside it'),
  )
  .refine(
    (mqtt) => mqtt.certFile === undefined || usesTls(mqtt.url),
    rule('certFile', 'expected a url that begins with mqtts or wss beside it'),
  );

const limit = (max: number, value: number, description: string) =>
  z.int().min(1).max(max).default(value).meta(meta({ description }));

export const settingsSchema = z
  .strictObject({
    name: z
      .string()
      .regex(topicLevel, { error: 'expected letters, digits, dots, dashes and underscores only' })
      .max(64)
      .meta(meta({ description: "The gateway's name; a level of all its topics.", example: 'gateway-1' })),
    links: z
      .array(link)
      .superRefine((links, context) => {
        links.forEach((url, index) => {
          const first = links.indexOf(url);
          if (first < index) {
            context.addIssue({
              code: 'custom',
              path: [index],
              message: `expected each link once; it is link ${first + 1}, too`,
            });
          }
        });
      })
      .default([])
      .meta(
        meta({
          description:
            'The ways to the meters, one meter each: serial:PATH?baud=N, tcp://HOST:PORT, tcp-listen://HOST:PORT, unix:PATH or unix-listen:PATH, a PATH from / on.',
          example: ['serial:/dev/ttyUSB0?baud=115200', 'unix-listen:/run/metertime/m1.sock'],
        }),
      ),
    linkKeys: z
      .strictObject({
        files: z
          .array(file({ description: 'A file.' }))
          .default([])
          .meta(
            meta({
              description:
                'Link keys of meters whose links are sealed: files that metertime provision --keys wrote, or lists of such; meter and linkKey are all that is read. Refused where everyone can read them. A meter whose key is here is served in sealed sessions only.',
              example: ['/etc/metertime/m1.keys.json'],
            }),
          ),
        sealedOnly: z
          .boolean({ error: 'expected true or false' })
          .default(false)
          .meta(meta({ description: 'Whether meters without a key here are turned away.' })),
      })
      .prefault({})
      .meta(meta({ description: 'Who the meters are, and what their links are sealed with.' })),
    trust: z
      .strictObject({
        system: z
          .boolean()
          .default(true)
          .meta(meta({ description: "Believe the certificate authorities of the system's (Mozilla's) list." })),
        files: z
          .array(file({ description: 'A file.' }))
          .default([])
          .meta(
            meta({
              description: 'Further certificate authorities, PEM files.',
              example: ['/etc/metertime/time-ca.pem'],
            }),
          ),
      })
      .refine((trust) => trust.system || trust.files.length > 0, {
        path: ['files'],
        error: 'expected at least one file when system is false: no time server could be believed',
      })
      .prefault({})
      .meta(meta({ description: "Whom the meters' time servers (NTS-KE) may be signed by." })),
    mqtt: mqtt.optional().meta(
      meta({
        description:
          'The broker that gets all reports. Without it, the gateway serves its meters and publishes nothing.',
      }),
    ),
    ocmf: ocmfSchema.optional(),
    outbox: z
      .strictObject({
        directory: z
          .string()
          .min(1)
          .optional()
          .meta(
            meta({
              description: 'Where the outbox is kept; of no other gateway.',
              defaultText: '`outbox` in dataDirectory',
              example: '/var/lib/metertime/outbox',
            }),
          ),
        maxMebibytes: z
          .int()
          .min(1)
          .max(65_536)
          .default(64)
          .meta(
            meta({
              description:
                'Size above which nothing more is taken: meters then keep their events and records until there is room. Records take seven eighths of it at most.',
            }),
          ),
      })
      .prefault({})
      .meta(meta({ description: 'What must arrive waits here, on disk, until the broker has it.' })),
    limits: z
      .strictObject({
        connections: limit(64, 4, 'Open TLS connections.'),
        connectionsPerMinute: limit(6000, 30, 'TLS connections opened in a minute.'),
        connectionKibibytes: limit(1024, 64, 'What one connection may carry in each direction, KiB.'),
        connectionSeconds: limit(3600, 30, 'How long a connection may stay open.'),
        sockets: limit(64, 8, 'Open UDP sockets.'),
        datagramsPerMinute: limit(60_000, 240, 'UDP datagrams sent in a minute.'),
        eventsPerMinute: limit(60_000, 600, 'Events taken in a minute; the others stay with the meter until later.'),
      })
      .prefault({})
      .meta(meta({ description: 'The share of one meter, so that one that misbehaves costs the others nothing.' })),
    log: z
      .strictObject({
        level: z
          .enum(['error', 'warn', 'info', 'debug'])
          .default('info')
          .meta(meta({ description: 'The least important that is still written.' })),
        format: z
          .enum(['text', 'json'])
          .default('text')
          .meta(meta({ description: 'text for people, json with one object a line for machines.' })),
      })
      .prefault({})
      .meta(meta({ description: 'Written to standard error.' })),
    dataDirectory: z
      .string()
      .min(1)
      .optional()
      .meta(
        meta({
          description: 'Where the gateway keeps what must survive a restart.',
          defaultText:
            '`$STATE_DIRECTORY` (set by systemd), else /var/lib/metertime for root, else `$XDG_STATE_HOME/metertime` or ~/.local/state/metertime',
          example: '/var/lib/metertime',
        }),
      ),
  })
  .refine(
    ({ ocmf, mqtt }) => ocmf === undefined || mqtt !== undefined,
    rule('ocmf', 'expected mqtt beside it: data sets are published'),
  )
  .meta(meta({ description: "A gateway's settings." }));

/** The settings as the schema gives them: defaults filled in, paths as written. */
export type RawSettings = z.output<typeof settingsSchema>;
