package main

// parsers says which fuzz target meets which function that reads octets from
// outside: PACKAGE FUNCTION… < TARGET…, the target in the same package where it
// names no other. "-" is for functions that need none, and the comment says why.
// A function without a name that gives it away may stand here, too.
const parsers = `
backup/accounts                    Parse parseHost parsePort parseQuery parseUser < FuzzParse FuzzServiceRecords
backup/accounts                    ParseUsers Fill FillAddress FillPath FillCommand < FuzzUsers
backup/accounts                    file foundAddress < FuzzAutoconfig FuzzServiceRecords
backup/accounts/directory          pages entry < FuzzAnswers
backup/accounts/directory          Users < FuzzFilter FuzzAnswers
backup/accounts/directory          dial host < - // the url of an ldap table, by net/url alone
backup/accounts/imapconn           DecodeName RawName asLabels isModifiedUTF7 fromModifiedUTF7 < FuzzEncodeName FuzzFolderName
backup/accounts/imapconn           Labels labelLiteral GmailID < FuzzLabels backup/imapsource.FuzzOddLabels
backup/accounts/imapconn           Levels Join cut < FuzzLevels
backup/accounts/imapconn           fetchItem number raw text quoted literal rest tagged untaggedCondition < FuzzServer FuzzServerWords
backup/accounts/imapconn           parseCondition codeEnd < FuzzCondition
backup/accounts/imapconn           parseNumbers search esearch copyUID < FuzzNumbers FuzzServerWords
backup/accounts/imapconn           tokenRefused < FuzzTokenRefused
backup/accounts/imapconn           readID < FuzzID
backup/accounts/oauth              NewServiceAccount < FuzzServiceAccount
backup/accounts/oauth              UnmarshalJSON read < FuzzAnswer
backup/accounts/oauth              checkURL < FuzzEndpoint
backup/accounts/oauth              parseKey < FuzzKey
backup/accounts/oauth              readGrant < FuzzGrantFile
backup/accounts/peer               Text < FuzzText
backup/accounts/pop3conn           numbered parseStatus sizes uidls timestamp < FuzzServer
backup/accounts/pop3conn           write < FuzzUnstuff
backup/accounts/sieveconn          line literal quoted atom answer ending < FuzzAnswer
backup/accounts/smtpconn           SizeLimit reply hello < FuzzReply
backup/imapsource                  oddDate < FuzzOddDate
backup/imapsource                  addLabels < FuzzOddLabels
backup/pop3source                  ParsePolicy parseAge parseSize scaled < FuzzPolicy
backup/pop3source                  parseKey < FuzzKey
cmd/restante                       Decode < FuzzArguments
cmd/restante                       account parseAddress < backup/accounts.FuzzParse
cmd/restante                       alertOptions deadAfter parseConfig schedule way inTable unknownKey brokenConfig < FuzzConfig
cmd/restante                       cameOf latest < - // what restante itself wrote into the database; what does not fit is zero
cmd/restante                       clock < - // of a build for simulations
cmd/restante                       conversation rehearse < - // the text of the demonstration, and what restante printed for it
cmd/restante                       day parsePoint < FuzzDay
cmd/restante                       visible oneLine < FuzzVisible
restore                            ParseReference < FuzzReference
restore                            MatchFolder < FuzzMatchFolder
restore                            number < - // an id that a target of ours gave
restore                            parseJournal parseMark < FuzzJournal
restore/delivery                   parseLine note load < FuzzJournal
restore/imaptarget                 Label Read < - // ids that it gave itself
schedules/alerts                   resultOf < FuzzResult
schedules/alerts                   why < FuzzWhy
schedules/alerts/ways              NewMail write subject fold < FuzzMail
schedules/alerts/ways              document < FuzzDocument
schedules/alerts/ways              failureOf once < FuzzAddressOfAHook
schedules/calendar                 Parse < FuzzParse
schedules/calendar                 ParseWindow minutes weekday < FuzzWindow
schedules/metrics                  snapshotOf < - // as cameOf
schedules/queue                    place < FuzzPlace
schedules/retention                NewRule Parse parseWithin < FuzzParse
storage                            Details folder parseBlob rootOf snapshot vault UnmarshalCBOR < FuzzRecords
storage                            FolderLevels < FuzzFolderName
storage                            ParsePoint ParseTime parseAge < FuzzPoint
storage                            parseConfig < FuzzConfig
storage                            parseFlagPage parseMessagePage uvarint varint head < FuzzPages
storage                            parsePages < FuzzPageList FuzzRecords
storage                            trySlot unlock < FuzzKeySlot
storage                            openSealed < storage/internal/seal.FuzzOpen storage/ledger.FuzzCheckpoint
storage/internal/index             Parse < FuzzParse
storage/internal/index             readTable parse block directories < FuzzTable
storage/internal/pack              ParseDirectory < FuzzParseDirectory
storage/internal/pack              ReadDirectory < FuzzReadDirectory
storage/internal/seal              Open < FuzzOpen
storage/internal/seal              decompress < FuzzDecompress
storage/ledger                     Adopt Clone Import openCheckpoint pass < FuzzCheckpoint
storage/ledger                     body open unseal takeOver peek apply readable < FuzzEntry FuzzWritten
storage/ledger                     listed < - // a number, which must be the next one
storage/mailfiles                  HeaderFlags bits endField < FuzzHeaderFlags
storage/mailfiles                  decodeLevel decodeRun decodeUTF7 < FuzzUTF7
storage/mailfiles                  isEscape unescape < FuzzLevelsRoundTrip FuzzFolderNames
storage/mailfiles                  isOfTheDead < FuzzDotlock
storage/mailfiles                  number parseClock parseFromDate parseFromLine zoneOffset < FuzzFromLine
storage/mailfiles                  parseMark < FuzzMark
storage/mailfiles                  readKeywords < FuzzKeywordFile
storage/mailfiles                  repair isOurs < FuzzRepair
storage/mailfiles                  splitName flagsOf < FuzzMaildirNames
storage/mailfiles                  splitSubscription < FuzzSubscriptions
storage/mailfiles                  ReadMbox < FuzzMboxReader FuzzMboxrdRoundTrip
storage/mailfiles/thunderbird      cutString < FuzzText FuzzPrefs
storage/mailfiles/thunderbird      readPrefs servers < FuzzPrefs
storage/mailfiles/thunderbird      inRoot sections < FuzzProfiles
storage/messages                   convert decodeWords parseClock parseDate parseTimestamp parseWord parseYear parseZone < FuzzSummarize
storage/messages                   decodeBase64 decoded scan < FuzzSplit FuzzSplitTokens
storage/messages                   read readHeader < FuzzJoin FuzzReferences
storage/objects                    CheckName < FuzzCheckName
storage/objects/s3                 parseAddress setEndpoint < FuzzAddress
storage/objects/s3                 parseContentRange < FuzzContentRange
storage/objects/s3                 retryAfter < FuzzRetryAfter
storage/objects/s3                 translate translateAnswer absent harmless < FuzzAnswerOfTheStore
`
