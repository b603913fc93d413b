"""The works that a report may cite, each under a word, with its DOI where it has one."""

REFERENCES = {
    "rasch": "Rasch, G. (1960). Probabilistic models for some intelligence and attainment tests. "
    "Danish Institute for Educational Research.",
    "1pl": "Thissen, D. (1982). Marginal maximum likelihood estimation for the one-parameter "
    "logistic model. Psychometrika, 47(2), 175-186. doi:10.1007/BF02296273",
    "2pl": "Birnbaum, A. (1968). Some latent trait models and their use in inferring an "
    "examinee's ability. In F. M. Lord & M. R. Novick, Statistical theories of mental test scores "
    "(pp. 397-479). Addison-Wesley.",
    "4pl": "Barton, M. A., & Lord, F. M. (1981). An upper asymptote for the three-parameter "
    "logistic item-response model. ETS Research Report Series, 1981(1), i-8. "
    "doi:10.1002/j.2333-8504.1981.tb01255.x",
    "graded": "Samejima, F. (1969). Estimation of latent ability using a response pattern of "
    "graded scores. Psychometrika, 34(Suppl. 1), 1-97. doi:10.1007/BF03372160",
    "gpcm": "Muraki, E. (1992). A generalized partial credit model: Application of an EM "
    "algorithm. Applied Psychological Measurement, 16(2), 159-176. "
    "doi:10.1177/014662169201600206",
    "pcm": "Masters, G. N. (1982). A Rasch model for partial credit scoring. Psychometrika, "
    "47(2), 149-174. doi:10.1007/BF02296272",
    "nominal": "Bock, R. D. (1972). Estimating item parameters and latent ability when responses "
    "are scored in two or more nominal categories. Psychometrika, 37(1), 29-51. "
    "doi:10.1007/BF02291411",
    "em": "Bock, R. D., & Aitkin, M. (1981). Marginal maximum likelihood estimation of item "
    "parameters: Application of an EM algorithm. Psychometrika, 46(4), 443-459. "
    "doi:10.1007/BF02293801",
    "priors": "Mislevy, R. J. (1986). Bayes modal estimation in item response models. "
    "Psychometrika, 51(2), 177-195. doi:10.1007/BF02293979",
    "nuts": "Hoffman, M. D., & Gelman, A. (2014). The No-U-Turn sampler: Adaptively setting path "
    "lengths in Hamiltonian Monte Carlo. Journal of Machine Learning Research, 15, 1593-1623.",
    "eap": "Bock, R. D., & Mislevy, R. J. (1982). Adaptive EAP estimation of ability in a "
    "microcomputer environment. Applied Psychological Measurement, 6(4), 431-444. "
    "doi:10.1177/014662168200600405",
    "reliability": "Green, B. F., Bock, R. D., Humphreys, L. G., Linn, R. L., & Reckase, M. D. "
    "(1984). Technical guidelines for assessing computerized adaptive tests. Journal of "
    "Educational Measurement, 21(4), 347-360. doi:10.1111/j.1745-3984.1984.tb01039.x",
    "s_x2": "Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous "
    "item response theory models. Applied Psychological Measurement, 24(1), 50-64. "
    "doi:10.1177/01466216000241003",
    "s_x2_polytomous": "Kang, T., & Chen, T. T. (2008). Performance of the generalized S-X2 item "
    "fit index for polytomous IRT models. Journal of Educational Measurement, 45(4), 391-406. "
    "doi:10.1111/j.1745-3984.2008.00071.x",
    "infit": "Wright, B. D., & Masters, G. N. (1982). Rating scale analysis. MESA Press.",
    "ld_x2": "Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using "
    "item response theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289. "
    "doi:10.3102/10769986022003265",
    "q3": "Yen, W. M. (1984). Effects of local item dependence on the fit and equating "
    "performance of the three-parameter logistic model. Applied Psychological Measurement, 8(2), "
    "125-145. doi:10.1177/014662168400800201",
    "m2": "Maydeu-Olivares, A., & Joe, H. (2006). Limited information goodness-of-fit testing in "
    "multidimensional contingency tables. Psychometrika, 71(4), 713-732. "
    "doi:10.1007/s11336-005-1295-9",
    "c2": "Cai, L., & Monroe, S. (2014). A new statistic for evaluating item response theory "
    "models for ordinal data (CRESST Report 839). University of California, Los Angeles.",
    "parallel": "Horn, J. L. (1965). A rationale and test for the number of factors in factor "
    "analysis. Psychometrika, 30(2), 179-185. doi:10.1007/BF02289447",
    "holm": "Holm, S. (1979). A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics, 6(2), 65-70.",
    "wilson": "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical "
    "inference. Journal of the American Statistical Association, 22(158), 209-212. "
    "doi:10.1080/01621459.1927.10502953",
    "lalor2016": "Lalor, J. P., Wu, H., & Yu, H. (2016). Building an evaluation scale using item "
    "response theory. Proceedings of EMNLP, 648-657. doi:10.18653/v1/D16-1062",
}
